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
        Sid    = "PipelineActions"
        Effect = "Allow"
        Action = [
          "codepipeline:GetPipeline",
          "codepipeline:GetPipelineState",
          "codepipeline:ListPipelineExecutions",
          "codepipeline:UpdatePipeline",
        ]
        Resource = [for value in var.pipeline_names : "arn:${local.partition}:codepipeline:*:${local.account_id}:${value}"]
      },
      {
        Sid    = "AssumePolicyOnPipelineRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRolePolicy",
          "iam:PutRolePolicy",
        ]
        Resource = var.pipeline_role_arns
      },
      {
        Sid    = "ReadRoles"
        Effect = "Allow"
        Action = [
          "iam:GetRole",
          "iam:GetRolePolicy",
        ]
        Resource = ["arn:${local.partition}:iam::${local.account_id}:role/*"]
      },
      {
        Sid       = "KeepPipelineRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = var.pipeline_role_arns
        Condition = { StringEquals = { "iam:PassedToService" = "codepipeline.amazonaws.com" } }
      },
      {
        Sid       = "KeepCloudFormationRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = var.cloudformation_role_arns
        Condition = { StringEquals = { "iam:PassedToService" = "cloudformation.amazonaws.com" } }
      },
      {
        Sid       = "KeepCodeBuildRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = var.codebuild_role_arns
        Condition = { StringEquals = { "iam:PassedToService" = "codebuild.amazonaws.com" } }
      },
      {
        Sid    = "KeepConnections"
        Effect = "Allow"
        Action = [
          "codeconnections:PassConnection",
          "codestar-connections:PassConnection",
        ]
        Resource = flatten([for arn in var.connection_arns : [
          replace(arn, ":codestar-connections:", ":codeconnections:"),
          replace(arn, ":codeconnections:", ":codestar-connections:"),
        ]])
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
        Sid      = "BulkReads"
        Effect   = "Allow"
        Action   = ["iam:GetAccountAuthorizationDetails"]
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
