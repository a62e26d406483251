//! Tests for any machine: pure code and the command line in a sealed folder.

mod accounts;
mod cli;
mod commands;
mod config;
mod docs;
mod hardware;
mod json;
mod plan;
mod quadlet;
mod retention;
mod rooms;
mod snapshots;
mod stack;
mod texts;
