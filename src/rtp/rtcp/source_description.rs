use rtcp_types::{Sdes, SdesBuilder, SdesChunk, SdesItem};

/// The most octets of an item (RFC 3550 §6.5).
const MAX_ITEM: usize = 255;

/// A source description with one CNAME, cut to 255 octets (RFC 3550 §6.5.1).
pub(super) fn cname(ssrc: u32, cname: &str) -> SdesBuilder<'_> {
    let mut end = cname.len().min(MAX_ITEM);
    while !cname.is_char_boundary(end) {
        end -= 1;
    }
    let item = SdesItem::builder(SdesItem::CNAME, &cname[..end]);
    Sdes::builder().add_chunk(SdesChunk::builder(ssrc).add_item(item))
}
