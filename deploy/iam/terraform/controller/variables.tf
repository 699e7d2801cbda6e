variable "account_ids" {
  description = "The accounts that the controller enters"
  type        = list(string)
}

variable "role_names" {
  description = "The roles that get these rights; empty to attach the policy yourself"
  type        = list(string)
  default     = []
}
