//! The real server through its public door, seen by a client that hides nothing: every response, packet and port.

mod support;

mod server {
    mod access;
    mod adapt;
    mod audio;
    mod audit;
    mod care;
    mod child;
    mod cipher;
    mod client;
    mod control;
    mod copy;
    mod hostile;
    mod keyframes;
    mod latency;
    mod limits;
    mod microphone;
    mod multicast;
    mod namespaces;
    mod pacing;
    mod packets;
    mod play;
    mod relay;
    mod reload;
    mod rtcp;
    mod run;
    mod secrets;
    mod secure;
    mod seen;
    mod sessions;
    mod slow;
    mod srtp;
    mod status_codes;
    mod systemd;
    mod tls;
    mod tunnels;
    mod udp;
    mod urls;
    mod world;
}
