//! Two competitions, of architectures and of trainings, derived from the outbox's scored runs alone.
//!
//! An architecture's family is its traced structure ([`structure`]); the earliest accepted submission of a family owns
//! it. The order of events is a log that is rebuilt, byte for byte, from the same runs ([`ledger`]); what each family and
//! each training added becomes weights ([`pools`]).

pub mod ledger;
pub mod pools;
pub mod structure;
