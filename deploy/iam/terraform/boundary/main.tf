# This module is parsed and evaluated in crossinvoke's tests. It was never applied to an account.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        Sid      = "InvokeFunctions"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [for value in var.function_names : "arn:${local.partition}:lambda:*:${local.account_id}:function:${value}"]
      },
      {
        Sid      = "ListFunctions"
        Effect   = "Allow"
        Action   = ["lambda:ListFunctions"]
        Resource = ["*"]
      },
    ] : statement if length(statement.Resource) > 0]
  })
}

resource "aws_iam_policy" "boundary" {
  name   = var.boundary_name
  policy = local.policy
}
