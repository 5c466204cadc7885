//! Support for tests: an application to put behind Gangway, clients that see every byte, and bytes to compare.
//!
//! A development dependency only. Nothing here validates its input or bounds its resources;
//! it is made so that a test can say exactly what was sent and what came back.

pub mod acme_json;
pub mod app;
pub mod appsec;
pub mod client;
pub mod crowdsec;
pub mod engine;
pub mod fault;
pub mod mmdb;
pub mod odd_parts;
pub mod openid;
pub mod otlp;
pub mod pebble;
pub mod pieces;
pub mod ports;
pub mod raw;
pub mod recording;
pub mod relay;
pub mod scripted;
pub mod sum;
pub mod wait;
pub mod websocket;
pub mod wire_message;
