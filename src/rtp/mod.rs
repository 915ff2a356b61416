//! RTP and RTCP: packetizers, batches, reports. Bytes only.
