//! The promise: whenever the power goes, the device boots, the version before or the new one. U-Boot's part is played by
//! [`Card::boot`], which goes by the same rules as `boot.scr`.

use std::cell::{Cell, RefCell};

use super::*;

/// Octets of the partition that are of interest.
const SIZE: usize = (25 << 20) + 2 * PIECE;
const OLD: Image = Image { filler: 0x01, len: 2900 };
const NEW: Image = Image { filler: 0x02, len: 3000 };
const NEWER: Image = Image { filler: 0x03, len: 2300 };
/// One that takes more than one piece to read.
const LONG: Image = Image { filler: 0x04, len: PIECE + 1000 };
const IMAGES: [Image; 4] = [OLD, NEW, NEWER, LONG];
/// Octets written at once.
const WRITTEN: usize = 1200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Image {
    filler: u8,
    len: usize,
}

impl Image {
    fn octets(self) -> Vec<u8> {
        [&IMAGE_MAGIC[..], &vec![self.filler; self.len]].concat()
    }
}

/// What happened to the partition, in order.
#[derive(Debug, Clone)]
enum Event {
    Write(u64, Vec<u8>),
    Sync,
}

/// A partition in memory that writes down what is done to it, and fails where it is told to.
struct Card {
    octets: RefCell<Vec<u8>>,
    events: RefCell<Vec<Event>>,
    unreadable: Cell<bool>,
    unwritable: Cell<bool>,
    /// A place that always gives 0xee.
    worn: Cell<Option<u64>>,
}

impl Partition for &Card {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.unreadable.get() && offset == 0 {
            return Err(io::Error::other("Input/output error"));
        }
        let at = offset as usize;
        buf.copy_from_slice(&self.octets.borrow()[at..at + buf.len()]);
        if let Some(worn) = self.worn.get()
            && let Some(octet) = worn.checked_sub(offset).and_then(|at| buf.get_mut(at as usize))
        {
            *octet = 0xee;
        }
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.unwritable.get() {
            return Err(io::Error::other("Input/output error"));
        }
        self.octets.borrow_mut()[offset as usize..][..data.len()].copy_from_slice(data);
        self.events.borrow_mut().push(Event::Write(offset, data.to_vec()));
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        self.events.borrow_mut().push(Event::Sync);
        Ok(())
    }
}

/// What U-Boot starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Booted {
    slot: Slot,
    trial: bool,
    image: Image,
}

impl Card {
    /// With these images in slot A and B, and nothing in the first sector.
    fn new(a: Option<Image>, b: Option<Image>) -> Card {
        let mut octets = vec![0xff; SIZE];
        for (slot, image) in [(Slot::A, a), (Slot::B, b)] {
            if let Some(image) = image {
                let image = image.octets();
                octets[slot.offset() as usize..][..image.len()].copy_from_slice(&image);
            }
        }
        Card {
            octets: RefCell::new(octets),
            events: RefCell::default(),
            unreadable: Cell::default(),
            unwritable: Cell::default(),
            worn: Cell::default(),
        }
    }

    /// The image in a slot, if it is whole: U-Boot finds out by the hashes in it.
    fn image(&self, slot: Slot) -> Option<Image> {
        let octets = self.octets.borrow();
        let held = &octets[slot.offset() as usize..][..2 * PIECE];
        let filler = *held.get(IMAGE_MAGIC.len())?;
        let image = *IMAGES.iter().find(|image| image.filler == filler)?;
        let magic = held.starts_with(&IMAGE_MAGIC);
        let (body, _) = held[IMAGE_MAGIC.len()..].split_at(image.len);
        // As memcmp does, without taking memory for a whole image.
        (magic && body[0] == filler && body[..image.len - 1] == body[1..]).then_some(image)
    }

    /// What `boot.scr` does.
    fn boot(&self) -> Option<Booted> {
        let mut sector = [0; SECTOR];
        let readable = self.read(0, &mut sector).is_ok();
        let state = BootState::parse(sector);
        let (slot, trial) = match state.to_try() {
            Some(slot) if readable => {
                let mut state = state.clone();
                state.0[TRIED] = state.0[TRY];
                state.0[TRY] = 0;
                self.octets.borrow_mut()[..SECTOR].copy_from_slice(state.sector());
                (slot, true)
            }
            _ => (state.active(), false),
        };
        // When the one on trial does not verify, the other is the active one.
        let order = [(slot, trial), (slot.other(), false)];
        let whole = |(slot, trial)| Some(Booted { slot, trial, image: self.image(slot)? });
        order.into_iter().find_map(whole)
    }

    fn state(&self) -> BootState {
        Slots::new(self, Slot::A).state().unwrap()
    }

    fn install(&self, running: Slot, image: Image) -> Result<(), SlotsError> {
        let slots = Slots::new(self, running);
        let mut writing = slots.begin()?;
        image.octets().chunks(WRITTEN).try_for_each(|piece| writing.write(piece))?;
        writing.finish()
    }

    /// Calls `look` with the partition as each cut of `events`, made to the content `before`, leaves it: what was
    /// synced is there, of what was not any part may be. The first sector is whole.
    fn every_cut(before: &Card, events: &[Event], mut look: impl FnMut(&Card)) {
        let put = |card: &Card, offset: u64, data: &[u8]| {
            card.octets.borrow_mut()[offset as usize..][..data.len()].copy_from_slice(data);
        };
        look(before);
        for event in events {
            let Event::Write(offset, data) = event else { continue };
            if *offset == 0 {
                assert_eq!(data.len(), SECTOR);
                put(before, 0, data);
                look(before);
                continue;
            }
            for (n, octet) in data.iter().enumerate() {
                put(before, offset + n as u64, &[*octet]);
                look(before);
            }
        }
    }

    /// Boots again and again, as if nobody ever confirmed, then puts the sector back.
    fn boots_without_confirmation(&self) -> (Booted, Booted) {
        let sector: Vec<u8> = self.octets.borrow()[..SECTOR].to_vec();
        let first = self.boot().expect("a cut leaves something to boot");
        let second = self.boot().expect("so does a second one");
        assert_eq!(self.boot(), Some(second), "and from then on it stays");
        assert!(!second.trial);
        self.octets.borrow_mut()[..SECTOR].copy_from_slice(&sector);
        (first, second)
    }
}

/// All ways in which an update can start: what is in the slots, the state, and what therefore runs.
fn beginnings() -> Vec<(Card, Slot)> {
    let mut beginnings = vec![
        (Card::new(Some(OLD), None), Slot::A),
        (Card::new(Some(OLD), Some(NEWER)), Slot::A),
        (Card::new(None, Some(OLD)), Slot::B),
    ];
    let state = |sector: [(usize, u8); 3]| {
        let card = Card::new(Some(NEWER), Some(OLD));
        let mut state = card.state();
        sector.iter().for_each(|(at, octet)| state.0[*at] = *octet);
        card.octets.borrow_mut()[..SECTOR].copy_from_slice(state.sector());
        card
    };
    // B is in use; and A was tried and did not work.
    beginnings.push((state([(ACTIVE, b'B'), (TRY, 0), (TRIED, 0)]), Slot::B));
    beginnings.push((state([(ACTIVE, b'B'), (TRY, 0), (TRIED, b'A')]), Slot::B));
    // A was to be tried at the next start.
    beginnings.push((state([(ACTIVE, b'B'), (TRY, b'A'), (TRIED, 0)]), Slot::B));
    beginnings
}

#[test]
fn a_power_cut_at_any_octet_of_an_update_leaves_a_device_that_boots() {
    for (case, (card, running)) in beginnings().into_iter().enumerate() {
        let before = Card::new(None, None);
        before.octets.borrow_mut().copy_from_slice(&card.octets.borrow());
        card.install(running, NEW).unwrap();
        let (mut old, mut new, mut cuts) = (0, 0, 0);
        Card::every_cut(&before, &card.events.borrow(), |cut| {
            let (first, second) = cut.boots_without_confirmation();
            cuts += 1;
            match first.image {
                NEW => {
                    assert!(first.trial && first.slot == running.other(), "case {case}");
                    new += 1;
                }
                OLD => old += 1,
                // That it would be tried was said before the update began.
                _ => assert!(first.trial && cuts == 1 && case == 5, "case {case}, cut {cuts}: {first:?}"),
            }
            assert_eq!((second.image, second.slot), (OLD, running), "case {case}: what ran before is kept");
        });
        assert!(new == 1 && old > NEW.len, "case {case}: {new} new, {old} old");
    }
}

#[test]
fn the_running_slot_is_never_touched() {
    for (card, running) in beginnings() {
        let state = card.state();
        card.install(running, NEW).unwrap();
        let other = running.other().offset();
        let mut synced = true;
        for event in card.events.borrow().iter() {
            match event {
                Event::Write(0, sector) => {
                    assert!(synced, "the image is on the card before anything says so");
                    assert_eq!(sector.len(), SECTOR);
                }
                Event::Write(at, data) => {
                    assert!(*at >= other && at + data.len() as u64 <= other + SLOT_SIZE);
                    synced = false;
                }
                Event::Sync => synced = true,
            }
        }
        assert!(synced, "nothing is said before it is so");
        assert_eq!(card.state().active(), running, "{state:?}");
    }
}

/// The order of what was not synced is the card's: any octets of it may be there.
#[test]
fn what_was_not_synced_may_be_there_in_any_part() {
    let mut seed = 7_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16
    };
    let journal = Card::new(Some(OLD), Some(NEWER));
    journal.install(Slot::A, NEW).unwrap();
    let events = journal.events.borrow();
    for _ in 0..60 {
        let card = Card::new(Some(OLD), Some(NEWER));
        let end = random() as usize % (events.len() + 1);
        let synced = events[..end].iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
        for (n, event) in events[..end].iter().enumerate() {
            let Event::Write(at, data) = event else { continue };
            let sectors =
                data.chunks(SECTOR).enumerate().filter(|_| n < synced || random().is_multiple_of(2));
            for (m, sector) in sectors {
                let at = *at as usize + m * SECTOR;
                card.octets.borrow_mut()[at..at + sector.len()].copy_from_slice(sector);
            }
        }
        let (first, second) = card.boots_without_confirmation();
        assert!(first.image == OLD || (first.image == NEW && first.trial), "{first:?}");
        assert_eq!(second, Booted { slot: Slot::A, trial: false, image: OLD });
    }
}

#[test]
fn a_trial_that_nobody_confirms_falls_back_and_one_that_is_confirmed_stays() {
    let card = Card::new(Some(OLD), None);
    let old = Booted { slot: Slot::A, trial: false, image: OLD };
    assert_eq!(card.boot(), Some(old));
    card.install(Slot::A, NEW).unwrap();
    assert_eq!(card.state().to_string(), "ACTIVE=A TRY=B TRIED= REASON=\"\"");
    let trial = Booted { slot: Slot::B, trial: true, image: NEW };
    assert_eq!(card.boot(), Some(trial));
    assert_eq!(card.state().to_string(), "ACTIVE=A TRY= TRIED=B REASON=\"\"");
    Slots::new(&card, Slot::B).failed("it got not \"ready\" in `180` s").unwrap();
    assert_eq!(card.boot(), Some(old));
    assert_eq!(
        card.state().to_string(),
        "ACTIVE=A TRY= TRIED=B REASON=\"it got not ?ready? in ?180? s\"",
        "a shell reads it"
    );
    // A second time, now with success.
    card.install(Slot::A, NEW).unwrap();
    assert_eq!(card.boot(), Some(trial));
    Slots::new(&card, Slot::B).confirm().unwrap();
    assert_eq!(card.state().to_string(), "ACTIVE=B TRY= TRIED= REASON=\"\"");
    assert_eq!(card.boot(), Some(Booted { trial: false, ..trial }));
    // And back again, as a trial too.
    assert_eq!(Slots::new(&card, Slot::B).switch().unwrap(), Slot::A);
    assert_eq!(card.boot(), Some(Booted { trial: true, ..old }));
    assert_eq!(card.boot(), Some(Booted { trial: false, ..trial }));
}

/// A cut at every write of what follows an update: a failure, a confirmation, a change back.
#[test]
fn whatever_is_said_about_a_trial_is_said_at_once_or_not_at_all() {
    type Act = fn(&Slots<&Card>) -> Result<(), SlotsError>;
    let acts: [(Act, Slot); 3] = [
        (|slots| slots.failed("why"), Slot::B),
        (|slots| slots.confirm(), Slot::B),
        (|slots| slots.switch().map(drop), Slot::A),
    ];
    for (act, running) in acts {
        let card = Card::new(Some(OLD), Some(NEW));
        if running == Slot::B {
            card.install(Slot::A, NEW).unwrap();
            card.boot().unwrap();
            card.events.borrow_mut().clear();
        }
        let before = Card::new(None, None);
        before.octets.borrow_mut().copy_from_slice(&card.octets.borrow());
        act(&Slots::new(&card, running)).unwrap();
        let events = card.events.borrow();
        assert!(matches!(&events[..], [Event::Write(0, _), Event::Sync]), "one write of one sector");
        Card::every_cut(&before, &events, |cut| {
            cut.boots_without_confirmation();
        });
    }
}

#[test]
fn a_slot_on_trial_is_neither_overwritten_nor_left_for_another() {
    let card = Card::new(Some(OLD), None);
    card.install(Slot::A, NEW).unwrap();
    card.boot().unwrap();
    let slots = Slots::new(&card, Slot::B);
    assert!(matches!(slots.begin().err(), Some(SlotsError::OnTrial(Slot::B))));
    assert!(matches!(slots.switch(), Err(SlotsError::OnTrial(Slot::B))));
    slots.confirm().unwrap();
    slots.begin().unwrap();
    assert_eq!(card.image(Slot::A), Some(OLD));
}

#[test]
fn an_image_that_does_not_verify_is_passed_over() {
    let card = Card::new(Some(OLD), None);
    card.install(Slot::A, NEW).unwrap();
    card.octets.borrow_mut()[Slot::B.offset() as usize + 1000] ^= 1;
    assert_eq!(card.boot(), Some(Booted { slot: Slot::A, trial: false, image: OLD }));
    // The active one is damaged: the other runs, and an update makes it the active one first.
    let card = Card::new(None, Some(OLD));
    assert_eq!(card.boot().map(|booted| booted.slot), Some(Slot::B));
    Slots::new(&card, Slot::B).begin().unwrap();
    assert_eq!(card.state().active(), Slot::B);
}

#[test]
fn nothing_is_tried_that_the_card_did_not_keep() {
    let card = Card::new(Some(OLD), None);
    card.worn.set(Some(Slot::B.offset() + 66_000));
    assert!(matches!(card.install(Slot::A, LONG), Err(SlotsError::ReadBack(Slot::B))));
    assert_eq!(card.boot(), Some(Booted { slot: Slot::A, trial: false, image: OLD }));
    card.unwritable.set(true);
    assert!(matches!(card.install(Slot::A, NEW), Err(SlotsError::Write(_))));
    assert_eq!(card.boot(), Some(Booted { slot: Slot::A, trial: false, image: OLD }));
}

#[test]
fn with_an_unreadable_boot_state_nothing_is_written_and_the_device_boots() {
    let card = Card::new(Some(OLD), Some(NEW));
    card.unreadable.set(true);
    let slots = Slots::new(&card, Slot::A);
    let errors = [
        slots.state().err(),
        slots.begin().err(),
        slots.switch().err(),
        slots.confirm().err(),
        slots.failed("why").err(),
    ];
    for error in errors {
        let Some(SlotsError::Read(_)) = error else { panic!("{error:?}") };
        assert!(error.unwrap().to_string().contains("the card may be damaged"));
    }
    assert!(card.events.borrow().is_empty());
    assert_eq!(card.boot(), Some(Booted { slot: Slot::A, trial: false, image: OLD }));
}

#[test]
fn only_a_slot_that_holds_something_is_switched_to() {
    let card = Card::new(Some(OLD), None);
    assert!(matches!(Slots::new(&card, Slot::A).switch(), Err(SlotsError::Empty(Slot::B))));
    let slots = Slots::new(&card, Slot::A);
    let mut writing = slots.begin().unwrap();
    writing.written = SLOT_SIZE - 1;
    assert!(matches!(writing.write(b"xx"), Err(SlotsError::TooLarge)));
}

#[test]
fn octets_that_this_version_does_not_know_stay() {
    let card = Card::new(Some(OLD), Some(NEW));
    let mut sector = *card.state().sector();
    sector[300..310].fill(0x55);
    sector[12] = 7;
    card.octets.borrow_mut()[..SECTOR].copy_from_slice(&sector);
    Slots::new(&card, Slot::A).failed(&"ä".repeat(200)).unwrap();
    assert_eq!(card.state().reason(), "ä".repeat(112), "cut between characters");
    Slots::new(&card, Slot::A).switch().unwrap();
    let kept = card.state();
    assert_eq!((kept.sector()[12], &kept.sector()[300..310]), (7, &[0x55; 10][..]));
    assert_eq!((kept.reason().as_str(), kept.to_try()), ("", Some(Slot::B)));
    // Whatever stands there, it can be read.
    for octet in 0..=255 {
        let mut sector = [octet; SECTOR];
        sector[..MAGIC.len()].copy_from_slice(MAGIC);
        let state = BootState::parse(sector);
        assert!(state.to_string().starts_with(if octet == b'B' { "ACTIVE=B" } else { "ACTIVE=A" }));
        assert_eq!(BootState::parse([octet; SECTOR]).to_string(), "ACTIVE=A TRY= TRIED= REASON=\"\"");
    }
}
