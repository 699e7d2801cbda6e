//! The contract with users: the two kinds, their conditions and reasons.
