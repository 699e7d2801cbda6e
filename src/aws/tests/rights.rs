//! What the controller's own identities need: the IAM action behind every operation that this module sends.

/// Operation, IAM action, and the policy file in `deploy/iam` that grants it.
pub(super) const OPERATIONS: [(&str, &str, &[&str]); 27] = [
    ("AssumeRole", "sts:AssumeRole", &["controller"]),
    ("GetFunctionConfiguration", "lambda:GetFunctionConfiguration", &["dev"]),
    ("GetRole", "iam:GetRole", &["tools", "dev"]),
    ("ListRoles", "iam:ListRoles", &["dev"]),
    ("CreateRole", "iam:CreateRole", &["dev"]),
    ("CreateRole with tags", "iam:TagRole", &["dev"]),
    ("DeleteRole", "iam:DeleteRole", &["dev"]),
    ("UpdateAssumeRolePolicy", "iam:UpdateAssumeRolePolicy", &["dev"]),
    ("TagRole", "iam:TagRole", &["dev"]),
    ("UntagRole", "iam:UntagRole", &["dev"]),
    ("PutRolePermissionsBoundary", "iam:PutRolePermissionsBoundary", &["dev"]),
    ("GetRolePolicy", "iam:GetRolePolicy", &["tools", "dev"]),
    ("PutRolePolicy", "iam:PutRolePolicy", &["tools", "dev"]),
    ("DeleteRolePolicy", "iam:DeleteRolePolicy", &["tools", "dev"]),
    ("ListRolePolicies", "iam:ListRolePolicies", &["dev"]),
    ("ListAttachedRolePolicies", "iam:ListAttachedRolePolicies", &["dev"]),
    ("DetachRolePolicy", "iam:DetachRolePolicy", &["dev"]),
    ("GetPolicy", "iam:GetPolicy", &["dev"]),
    ("GetPolicyVersion", "iam:GetPolicyVersion", &["dev"]),
    ("GetPipeline", "codepipeline:GetPipeline", &["tools"]),
    ("UpdatePipeline", "codepipeline:UpdatePipeline", &["tools"]),
    ("UpdatePipeline of a pipeline with this service role", "iam:PassRole", &["tools"]),
    ("UpdatePipeline of a pipeline with a connection", "codestar-connections:PassConnection", &["tools"]),
    ("ListPipelineExecutions", "codepipeline:ListPipelineExecutions", &["tools"]),
    ("GetPipelineState", "codepipeline:GetPipelineState", &["tools"]),
    ("GetAccountAuthorizationDetails", "iam:GetAccountAuthorizationDetails", &["tools-bulk-reads", "dev-bulk-reads"]),
    ("ListFunctions", "lambda:ListFunctions", &["dev-bulk-reads"]),
];

/// What is granted without being behind an operation that is sent, and why.
pub(super) const WITHOUT_OPERATION: [(&str, &str, &str); 1] =
    [("tools", "codeconnections:PassConnection", "the newer name of codestar-connections:PassConnection")];
