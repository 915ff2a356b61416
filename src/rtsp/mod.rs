//! RTSP: messages, headers, SDP, connection and session state machines. Bytes only.
