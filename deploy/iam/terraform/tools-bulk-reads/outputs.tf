output "role_arn" {
  description = "spec.roleARN of the AwsAccount"
  value       = aws_iam_role.crossinvoke.arn
}
