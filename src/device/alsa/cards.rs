//! Which sound cards capture, and which one a name means.

use super::convert::Encoding;
use crate::device::DeviceError;
use alsa::{
    Ctl, Direction, Output,
    card::Iter,
    ctl::DeviceIter,
    pcm::{HwParams, PCM},
};
use serde::Serialize;

/// Rates that cards are asked for.
const RATES: [u32; 11] = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000];
/// Channels beyond this are not asked for.
const MOST_CHANNELS: u32 = 32;

/// A capture device of a sound card, as `eyrie devices` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SoundCardInfo {
    /// The card's name.
    pub name: String,
    /// What to write into a config: an ALSA name that stays the same when cards are plugged in another order.
    pub device: String,
    /// In Hz. These three are empty while another program has the card, or without the right to open it.
    pub rates: Vec<u32>,
    pub channels: Vec<u32>,
    /// ALSA's names of those that Eyrie reads.
    pub formats: Vec<String>,
}

/// All capture devices. A card that cannot be asked is left out, one that is busy is listed without its abilities.
pub fn sound_cards() -> Vec<SoundCardInfo> {
    let _quiet = Output::local_error_handler();
    let cards = present();
    cards.into_iter().map(|card| card.describe().unwrap_or_else(|_| card.undescribed())).collect()
}

/// A capture device by the names that a person may call it.
#[derive(Clone, Debug)]
pub(super) struct Present {
    id: String,
    name: String,
    long_name: String,
    device: u32,
}

pub(super) fn present() -> Vec<Present> {
    Iter::new().flatten().filter_map(|card| on_card(card).ok()).flatten().collect()
}

fn on_card(card: alsa::Card) -> alsa::Result<Vec<Present>> {
    let control = Ctl::from_card(&card, true)?;
    let info = control.card_info()?;
    let (id, name, long_name) =
        (info.get_id()?.to_owned(), info.get_name()?.to_owned(), info.get_longname()?.to_owned());
    let devices = DeviceIter::new(&control).filter_map(|device| u32::try_from(device).ok());
    let captures = devices.filter(|device| control.pcm_info(*device, 0, Direction::Capture).is_ok());
    let present = |device| Present { id: id.clone(), name: name.clone(), long_name: long_name.clone(), device };
    Ok(captures.map(present).collect())
}

impl Present {
    /// Its ALSA name, without the plug layer.
    fn alsa_name(&self) -> String {
        match self.device {
            0 => format!("hw:CARD={}", self.id),
            device => format!("hw:CARD={},DEV={device}", self.id),
        }
    }

    pub(super) fn listed(&self) -> String {
        format!("{} ({})", self.alsa_name(), self.name)
    }

    fn undescribed(&self) -> SoundCardInfo {
        let (rates, channels, formats) = Default::default();
        SoundCardInfo { name: self.name.clone(), device: self.alsa_name(), rates, channels, formats }
    }

    fn describe(&self) -> alsa::Result<SoundCardInfo> {
        let pcm = PCM::new(&self.alsa_name(), Direction::Capture, true)?;
        let able = HwParams::any(&pcm)?;
        let channels = able.get_channels_min()?..=able.get_channels_max()?.min(MOST_CHANNELS);
        let formats = Encoding::ALL.into_iter().filter(|encoding| able.test_format(encoding.format()).is_ok());
        Ok(SoundCardInfo {
            rates: RATES.into_iter().filter(|rate| able.test_rate(*rate).is_ok()).collect(),
            channels: channels.filter(|count| able.test_channels(*count).is_ok()).collect(),
            formats: formats.map(|encoding| encoding.name().to_owned()).collect(),
            ..self.undescribed()
        })
    }
}

/// The ALSA name for what a person wrote: itself if it looks like one, else that of the card whose id or name it is,
/// or of the only one in whose names it occurs, case aside. None if no card fits.
///
/// # Errors
/// [`DeviceError::Ambiguous`] if several fit.
pub(super) fn resolve(wanted: &str, present: &[Present]) -> Result<Option<String>, DeviceError> {
    if wanted.contains(':') || wanted == "default" {
        return Ok(Some(wanted.to_owned()));
    }
    let names = |card: &Present| [card.id.clone(), card.name.clone(), card.long_name.clone()];
    let low = wanted.to_lowercase();
    let exact: Vec<&Present> = present.iter().filter(|card| names(card).iter().any(|name| name == wanted)).collect();
    let loose = || {
        let fits = |card: &&Present| names(card).iter().any(|name| name.to_lowercase().contains(&low));
        present.iter().filter(fits).collect()
    };
    let found: Vec<&Present> = if exact.is_empty() && !low.is_empty() { loose() } else { exact };
    // Of one card that captures in several ways the first is meant.
    match found.first() {
        Some(first) if found.iter().any(|card| card.id != first.id) => Err(DeviceError::Ambiguous {
            wanted: wanted.to_owned(),
            candidates: found.iter().map(|card| card.listed()).collect(),
        }),
        first => Ok(first.map(|card| card.alsa_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: &str, name: &str, device: u32) -> Present {
        Present { id: id.into(), name: name.into(), long_name: format!("{name} at usb-0000:01:00.0-1"), device }
    }

    fn cards() -> [Present; 5] {
        [
            card("PCH", "HDA Intel PCH", 0),
            card("PCH", "HDA Intel PCH", 2),
            card("Device", "USB PnP Sound Device", 0),
            card("Device_1", "USB PnP Sound Device", 0),
            card("Tap", "Tap", 3),
        ]
    }

    #[test]
    fn a_card_is_found_by_id_by_name_and_by_part_of_it() {
        let found = |wanted| resolve(wanted, &cards()).unwrap();
        assert_eq!(found("Device").as_deref(), Some("hw:CARD=Device"));
        assert_eq!(found("Device_1").as_deref(), Some("hw:CARD=Device_1"));
        assert_eq!(found("HDA Intel PCH").as_deref(), Some("hw:CARD=PCH"));
        assert_eq!(found("intel").as_deref(), Some("hw:CARD=PCH"));
        assert_eq!(found("TAP").as_deref(), Some("hw:CARD=Tap,DEV=3"));
        assert_eq!(found("webcam"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn alsa_names_are_taken_as_they_are() {
        for name in ["hw:CARD=Device", "plughw:1,0", "default"] {
            assert_eq!(resolve(name, &cards()).unwrap().as_deref(), Some(name));
        }
    }

    #[test]
    fn what_fits_several_cards_names_them() {
        for wanted in ["USB PnP Sound Device", "usb pnp"] {
            let error = resolve(wanted, &cards()).unwrap_err().to_string();
            assert!(error.contains("hw:CARD=Device (USB PnP Sound Device)"), "{error}");
            assert!(error.contains("hw:CARD=Device_1 (USB PnP Sound Device)"), "{error}");
        }
    }

    #[test]
    fn listing_never_fails() {
        for card in sound_cards() {
            assert!(card.device.starts_with("hw:CARD="));
        }
    }
}
