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

locals {
  partition = data.aws_partition.current.partition

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        Sid      = "EnterTheAccounts"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole"]
        Resource = [for value in var.account_ids : "arn:${local.partition}:iam::${value}:role/crossinvoke"]
      },
    ] : statement if length(statement.Resource) > 0]
  })
}

resource "aws_iam_policy" "crossinvoke" {
  name   = "crossinvoke-controller"
  policy = local.policy
}

resource "aws_iam_role_policy_attachment" "crossinvoke" {
  for_each = toset(var.role_names)

  role       = each.value
  policy_arn = aws_iam_policy.crossinvoke.arn
}
