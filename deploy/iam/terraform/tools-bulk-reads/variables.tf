variable "pipeline_names" {
  description = "The pipelines that may be edited; * stands for any characters"
  type        = list(string)
}

variable "pipeline_role_arns" {
  description = "The service roles of these pipelines, as narrow as you can name them"
  type        = list(string)
}

variable "cloudformation_role_arns" {
  description = "The roles that these pipelines hand to CloudFormation (RoleArn of a CloudFormation action)"
  type        = list(string)
  default     = []
}

variable "codebuild_role_arns" {
  description = "The roles that these pipelines hand to CodeBuild (the service roles of pipelines with Commands actions)"
  type        = list(string)
  default     = []
}

variable "connection_arns" {
  description = "The connections that sources of these pipelines use"
  type        = list(string)
  default     = []
}

variable "controller_arn" {
  description = "The controller's identity"
  type        = string
}

variable "external_id" {
  description = "The external id that the controller must give: spec.externalID of the AwsAccount"
  type        = string
  default     = null
}

variable "allow_session_tags" {
  description = "Whether the controller's session has tags, as with EKS Pod Identity, which it passes on"
  type        = bool
  default     = false
}

variable "role_name" {
  description = "The name of the role, which is part of spec.roleARN of the AwsAccount"
  type        = string
  default     = "crossinvoke"
}
