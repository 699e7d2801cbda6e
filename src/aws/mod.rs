//! Everything that speaks to AWS. SDK types end here.
