output "boundary_arn" {
  description = "spec.invokeRoles.permissionsBoundaryARN of the AwsAccount"
  value       = aws_iam_policy.boundary.arn
}
