//! Media devices (`linux/media.h`): what a board's camera pipeline is made of.

use super::{Descriptor, Plain, text};
use nix::errno::Errno;
use v4l::v4l2::vidioc::_IOC_TYPE;

const MEDIA_IOC_ENUM_ENTITIES: _IOC_TYPE =
    nix::request_code_readwrite!(b'|', 1, size_of::<EntityOfKernel>()) as _IOC_TYPE;
const MEDIA_ENT_ID_FLAG_NEXT: u32 = 1 << 31;
const MEDIA_ENT_F_IO_V4L: u32 = 0x1_0001;
const MEDIA_ENT_F_CAM_SENSOR: u32 = 0x2_0001;

/// `struct media_entity_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct EntityOfKernel {
    id: u32,
    name: [u8; 32],
    function: u32,
    revision: u32,
    flags: u32,
    group: u32,
    pads: u16,
    links: u16,
    reserved: [u32; 4],
    /// Of a union of 184 bytes the member `dev`: major and minor.
    node: [u32; 2],
    rest: [u32; 44],
}

impl Plain for EntityOfKernel {}

/// One part of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub id: u32,
    pub name: String,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What takes the pictures.
    Sensor,
    /// A video node, by the major and minor number of its device.
    Node(u32, u32),
    Other,
}

impl Descriptor {
    /// The part after `id` (0: the first), EINVAL after the last.
    pub fn entity_after(&self, id: u32) -> Result<Entity, Errno> {
        let question = EntityOfKernel { id: id | MEDIA_ENT_ID_FLAG_NEXT, ..EntityOfKernel::zeroed() };
        let EntityOfKernel { id, name, function, node: [major, minor], .. } =
            self.ask(MEDIA_IOC_ENUM_ENTITIES, question)?;
        let role = match function {
            MEDIA_ENT_F_CAM_SENSOR => Role::Sensor,
            MEDIA_ENT_F_IO_V4L => Role::Node(major, minor),
            _ => Role::Other,
        };
        Ok(Entity { id, name: text(&name), role })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_as_long_as_the_kernel_says() {
        assert_eq!(size_of::<EntityOfKernel>(), 256);
    }
}
