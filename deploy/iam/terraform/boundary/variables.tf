variable "function_names" {
  description = "The functions that may be invoked; * stands for any characters"
  type        = list(string)
}

variable "boundary_name" {
  description = "The name of the policy"
  type        = string
  default     = "crossinvoke-boundary"
}
