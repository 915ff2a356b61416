//! Real players against the real server.

mod support;

mod clients {
    mod aac;
    mod access;
    mod adapt;
    mod copies;
    mod multicast;
    mod nvr;
    mod players;
    mod promises;
    mod relay;
    mod retina;
    mod websocket;
}
