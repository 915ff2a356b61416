//! One live stream: supervised source, encoder thread, packetizers, hub, key-frame policy.
