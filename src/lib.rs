//! crossinvoke: a Kubernetes controller that lets a CodePipeline stage invoke a Lambda function in another AWS account.

pub mod api;
pub mod aws;
pub mod domain;
