use super::nal_type;
use h264_reader::{
    nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet},
    rbsp::{BitRead, BitReader, BitReaderError, decode_nal},
};

/// More than the part of a slice header that is read here can take.
const HEADER_BYTES: usize = 64;

/// Of a picture parameter set, what a slice header needs (ITU-T H.264 §7.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSet {
    pub id: u32,
    pub sequence_set: u32,
    /// Frames tell their bottom field's place in the order too.
    pub bottom_order: bool,
}

impl PictureSet {
    /// None if it cannot be read.
    pub fn read(nal: &[u8]) -> Option<Self> {
        let rbsp = decode_nal(&nal[..nal.len().min(HEADER_BYTES)]).ok()?;
        let mut bits = BitReader::new(rbsp.as_ref());
        let (id, sequence_set) = (bits.read_ue("pps id").ok()?, bits.read_ue("sps id").ok()?);
        bits.read_bit("entropy_coding_mode_flag").ok()?;
        let bottom_order = bits.read_bit("bottom_field_pic_order_in_frame_present_flag").ok()?;
        (id < 256 && sequence_set < 32).then_some(Self { id, sequence_set, bottom_order })
    }

    /// The set that a slice refers to.
    pub fn of_slice(nal: &[u8]) -> Option<u32> {
        let rbsp = decode_nal(&nal[..nal.len().min(HEADER_BYTES)]).ok()?;
        let mut bits = BitReader::new(rbsp.as_ref());
        bits.read_ue("first_mb_in_slice").ok()?;
        bits.read_ue("slice_type").ok()?;
        bits.read_ue("pps id").ok()
    }
}

/// The beginning of a slice header (ITU-T H.264 §7.3.3): what tells one picture from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceStart {
    pub first_macroblock: u32,
    /// Predicted from two pictures, one of which may come later in time.
    pub bidirectional: bool,
    pub field: bool,
    picture: Picture,
}

/// What is the same in all slices of a picture (§7.4.1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    set: u32,
    frame_num: u32,
    /// Whether it is a field, and the bottom one.
    field: Option<bool>,
    reference: bool,
    /// `idr_pic_id` of an IDR picture.
    idr: Option<u32>,
    /// `pic_order_cnt_lsb` and `delta_pic_order_cnt_bottom`, or `delta_pic_order_cnt`.
    order: [i64; 2],
}

impl SliceStart {
    /// None if it cannot be read.
    pub fn read(nal: &[u8], set: &PictureSet, sequence: &SeqParameterSet) -> Option<Self> {
        let rbsp = decode_nal(&nal[..nal.len().min(HEADER_BYTES)]).ok()?;
        Self::read_bits(nal, BitReader::new(rbsp.as_ref()), set, sequence).ok()
    }

    fn read_bits(
        nal: &[u8],
        mut bits: impl BitRead,
        set: &PictureSet,
        sequence: &SeqParameterSet,
    ) -> Result<Self, BitReaderError> {
        let first_macroblock = bits.read_ue("first_mb_in_slice")?;
        let kind = bits.read_ue("slice_type")?;
        bits.read_ue("pic_parameter_set_id")?;
        if sequence.chroma_info.separate_colour_plane_flag {
            bits.read::<2, u8>("colour_plane_id")?;
        }
        let frame_num = bits.read_var(u32::from(sequence.log2_max_frame_num()), "frame_num")?;
        let mut field = None;
        if matches!(sequence.frame_mbs_flags, FrameMbsFlags::Fields { .. }) && bits.read_bit("field_pic_flag")? {
            field = Some(bits.read_bit("bottom_field_flag")?);
        }
        let idr = (nal_type::of(nal) == nal_type::IDR_SLICE).then(|| bits.read_ue("idr_pic_id")).transpose()?;
        let both = set.bottom_order && field.is_none();
        let mut order = [0; 2];
        match &sequence.pic_order_cnt {
            PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } => {
                let width = u32::from(*log2_max_pic_order_cnt_lsb_minus4) + 4;
                order[0] = i64::from(bits.read_var::<u32>(width, "pic_order_cnt_lsb")?);
                if both {
                    order[1] = bits.read_se("delta_pic_order_cnt_bottom")?.into();
                }
            }
            PicOrderCntType::TypeOne { delta_pic_order_always_zero_flag: false, .. } => {
                order[0] = bits.read_se("delta_pic_order_cnt[0]")?.into();
                if both {
                    order[1] = bits.read_se("delta_pic_order_cnt[1]")?.into();
                }
            }
            _ => {}
        }
        let reference = nal[0] & 0x60 != 0;
        Ok(Self {
            first_macroblock,
            bidirectional: kind % 5 == 1,
            field: field.is_some(),
            picture: Picture { set: set.id, frame_num, field, reference, idr, order },
        })
    }

    /// Whether it is of another picture than `before`, the slice before it. A first macroblock says so too, whatever the
    /// rest does: cameras that send nothing but IDR pictures are known to give them all the same `idr_pic_id`.
    pub fn begins_picture_after(&self, before: &Self) -> bool {
        self.first_macroblock == 0 || self.picture != before.picture
    }
}
