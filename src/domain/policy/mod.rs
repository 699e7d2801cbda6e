//! IAM policy documents: parsed leniently, compared by meaning, rendered in a fixed order.
