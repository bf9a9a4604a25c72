//! One history of the schema for SQLite and Postgres.
//!
//! 1. A migration is a file `mYYYYMMDD_NNNNNN_subject.rs`, listed once in [`Migrator`].
//! 2. A released file is never edited: what is wrong is mended by the next one.
//! 3. Nothing here imports `entities`: the tables of a past release must not change when
//!    a model does.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m20261120_000001_foundation;
mod m20261120_000002_stamps;
mod m20261120_000003_receipts;
mod m20261120_000004_presence;
mod m20261120_000005_calls;
mod m20261120_000006_members_seq;
mod m20261120_000007_sessions;
mod m20261120_000008_rates;
mod m20261120_000009_profiles;
mod m20261121_000010_codes;
mod m20261121_000011_ties;
mod m20261121_000013_people;
mod m20261121_000014_requests;
mod m20261121_000015_audit;
mod m20261121_000016_bots;
mod m20261121_000017_descriptions;
mod m20261121_000018_details;
mod m20261121_000019_governance;
mod m20261121_000020_views;
mod m20261121_000021_tallies;
mod m20261121_000022_writing;
mod m20261121_000023_leaving;
mod m20261121_000024_claims;

/// The whole history, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_foundation::Migration),
            Box::new(m20261120_000002_stamps::Migration),
            Box::new(m20261120_000003_receipts::Migration),
            Box::new(m20261120_000004_presence::Migration),
            Box::new(m20261120_000005_calls::Migration),
            Box::new(m20261120_000006_members_seq::Migration),
            Box::new(m20261120_000007_sessions::Migration),
            Box::new(m20261120_000008_rates::Migration),
            Box::new(m20261120_000009_profiles::Migration),
            Box::new(m20261121_000010_codes::Migration),
            Box::new(m20261121_000011_ties::Migration),
            Box::new(m20261121_000013_people::Migration),
            Box::new(m20261121_000014_requests::Migration),
            Box::new(m20261121_000015_audit::Migration),
            Box::new(m20261121_000016_bots::Migration),
            Box::new(m20261121_000017_descriptions::Migration),
            Box::new(m20261121_000018_details::Migration),
            Box::new(m20261121_000019_governance::Migration),
            Box::new(m20261121_000020_views::Migration),
            Box::new(m20261121_000021_tallies::Migration),
            Box::new(m20261121_000022_writing::Migration),
            Box::new(m20261121_000023_leaving::Migration),
            Box::new(m20261121_000024_claims::Migration),
        ]
    }
}
