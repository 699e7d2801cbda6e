output "policy_arn" {
  description = "The policy"
  value       = aws_iam_policy.crossinvoke.arn
}
