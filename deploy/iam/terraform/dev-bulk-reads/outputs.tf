output "role_arn" {
  description = "spec.roleARN of the AwsAccount"
  value       = aws_iam_role.crossinvoke.arn
}

output "boundary_arn" {
  description = "spec.invokeRoles.permissionsBoundaryARN of the AwsAccount"
  value       = local.boundary_arn
}
