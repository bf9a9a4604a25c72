//! One binary: the product's promises, proved through its public doors on real databases.
//!
//! Every test of behaviour runs on SQLite and on Postgres with Redis ([`harness`]); people
//! are values; write tests end with what a subscriber saw.

mod harness;

mod accounts;
mod architecture;
mod audit;
mod bad_input;
mod bans;
mod blocks;
mod bots;
mod calls;
mod channel;
mod codes;
mod configuration;
mod contacts;
mod conversations;
mod crash;
mod delivery;
mod directory;
mod examples;
mod faults;
mod filters;
mod footprint;
mod front_door;
mod history;
mod identity;
mod invitations;
mod join_requests;
mod marked;
mod messages;
mod node_clients;
mod nodes;
mod pages;
mod permissions;
mod plans;
mod polls;
mod presence;
mod privacy;
mod profiles;
mod properties;
mod rates;
mod reactions;
mod receipts;
mod reports;
mod requests;
mod retention;
mod retries;
mod roles;
mod rooms;
mod scheduled;
mod sdl;
mod sessions;
mod settings;
mod sharing;
mod states;
mod system;
mod templates;
mod typing;
mod viewer_events;
mod writing;
