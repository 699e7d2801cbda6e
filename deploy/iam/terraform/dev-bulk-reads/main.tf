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

  boundary_arn = var.boundary_arn == null ? aws_iam_policy.boundary[0].arn : var.boundary_arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        Sid      = "ReadFunctions"
        Effect   = "Allow"
        Action   = ["lambda:GetFunctionConfiguration"]
        Resource = [for value in var.function_names : "arn:${local.partition}:lambda:*:${local.account_id}:function:${value}"]
      },
      {
        Sid    = "GrantToInvokeRolesUnderTheBoundary"
        Effect = "Allow"
        Action = [
          "iam:CreateRole",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
        ]
        Resource  = ["arn:${local.partition}:iam::${local.account_id}:role${var.invoke_role_path}*"]
        Condition = { StringEquals = { "iam:PermissionsBoundary" = local.boundary_arn } }
      },
      {
        Sid    = "KeepInvokeRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRole",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:TagRole",
          "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy",
        ]
        Resource = ["arn:${local.partition}:iam::${local.account_id}:role${var.invoke_role_path}*"]
      },
      {
        Sid    = "ReadRoles"
        Effect = "Allow"
        Action = [
          "iam:GetRole",
          "iam:GetRolePolicy",
          "iam:ListAttachedRolePolicies",
          "iam:ListRolePolicies",
        ]
        Resource = ["arn:${local.partition}:iam::${local.account_id}:role/*"]
      },
      {
        Sid      = "ListRoles"
        Effect   = "Allow"
        Action   = ["iam:ListRoles"]
        Resource = ["*"]
      },
      {
        Sid    = "ReadManagedPolicies"
        Effect = "Allow"
        Action = [
          "iam:GetPolicy",
          "iam:GetPolicyVersion",
        ]
        Resource = [
          "arn:${local.partition}:iam::${local.account_id}:policy/*",
          "arn:${local.partition}:iam::aws:policy/*",
        ]
      },
      {
        Sid    = "CallbackPolicyOnExecutionRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRolePolicy",
          "iam:PutRolePolicy",
        ]
        Resource = var.execution_role_arns
      },
      {
        Sid    = "NeverOnItself"
        Effect = "Deny"
        Action = [
          "iam:AttachRolePolicy",
          "iam:DeleteRole",
          "iam:DeleteRolePermissionsBoundary",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
          "iam:TagRole",
          "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy",
          "iam:UpdateRole",
        ]
        Resource = [
          "arn:${local.partition}:iam::${local.account_id}:role/${var.role_name}",
          "arn:${local.partition}:iam::${local.account_id}:role/*/${var.role_name}",
        ]
      },
      {
        Sid    = "BulkReads"
        Effect = "Allow"
        Action = [
          "iam:GetAccountAuthorizationDetails",
          "lambda:ListFunctions",
        ]
        Resource = ["*"]
      },
    ] : statement if length(statement.Resource) > 0]
  })

  boundary_policy = jsonencode({
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

resource "aws_iam_role" "crossinvoke" {
  name = var.role_name

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.controller_arn }
      Action    = var.allow_session_tags ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
      Condition = { for id in [var.external_id] : "StringEquals" => { "sts:ExternalId" = id } if id != null }
    }]
  })
}

resource "aws_iam_role_policy" "crossinvoke" {
  name   = "crossinvoke"
  role   = aws_iam_role.crossinvoke.id
  policy = local.policy
}

resource "aws_iam_policy" "boundary" {
  count = var.boundary_arn == null ? 1 : 0

  name   = "${var.role_name}-boundary"
  policy = local.boundary_policy
}
