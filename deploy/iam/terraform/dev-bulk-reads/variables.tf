variable "function_names" {
  description = "The functions that may be invoked; * stands for any characters"
  type        = list(string)
}

variable "execution_role_arns" {
  description = "The execution roles of these functions, as narrow as you can name them"
  type        = list(string)
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

variable "invoke_role_path" {
  description = "The path of the roles that the controller creates: spec.invokeRoles.path of the AwsAccount, or one above it"
  type        = string
  default     = "/crossinvoke/"

  validation {
    condition     = can(regex("^/[A-Za-z0-9+=,.@_-]+/([A-Za-z0-9+=,.@_-]+/)*$", var.invoke_role_path))
    error_message = "It must be a path that only the controller's roles have, such as /crossinvoke/."
  }
}

variable "boundary_arn" {
  description = "The boundary that every role must have that the controller creates; null to create one here"
  type        = string
  default     = null
}
