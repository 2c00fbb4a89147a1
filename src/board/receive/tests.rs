//! Updates that come, whole and otherwise, on the simulated flash.

use super::*;
use crate::board::Board;
use crate::board::pbu::{Pbu, identity};
use crate::flash::sim::SimFlash;

#[test]
fn a_file_is_taken_from_anywhere_and_copied_only_when_it_has_to_be() {
    let data = std::env::temp_dir().join(format!("pillarbox-update-{}", std::process::id()));
    fs::create_dir_all(&data).unwrap();
    let disk = Rc::new(crate::flash::disk::Disk::new(&data).unwrap());
    let mut device = Device::of(identity(), Board::new("/nowhere"), disk);
    device.data = data.clone();
    async_io::block_on(async {
        for (file, words) in
            [("none.pbu", "none.pbu: there is no such file"), ("/dev", "/dev: this is no file")]
        {
            let error = device.receive_file(Path::new(file)).await.unwrap_err();
            assert!(error.to_string().starts_with(words), "{error}");
        }
        fs::write(data.join("new.pbu"), Pbu::default().octets()).unwrap();
        device.receive_file(Path::new("new.pbu")).await.unwrap();
        let copy = fs::metadata(data.join(UPDATE)).unwrap().ino();
        device.receive_file(&data.join(UPDATE)).await.unwrap();
        assert_eq!(fs::metadata(data.join(UPDATE)).unwrap().ino(), copy);
        fs::write(data.join(UPDATE), "nonsense").unwrap();
        assert!(device.receive_file(Path::new(UPDATE)).await.is_err());
        assert!(!data.join(UPDATE).exists() && data.join("new.pbu").exists());
    });
    fs::remove_dir_all(data).unwrap();
}

fn device(flash: &SimFlash) -> Device {
    Device::of(identity(), Board::new("/nowhere"), Rc::new(flash.clone()))
}

/// Brings `file` in pieces of up to 5000 octets, then what `end` says.
async fn bring(device: &Device, file: &[u8], end: Option<io::ErrorKind>) -> Result<Update, ReceiveError> {
    let mut rest = file;
    let len = file.len() as u64 + u64::from(end.is_some());
    device
        .receive(len, async |buffer: &mut [u8]| {
            let wanted = buffer.len().min(5000);
            match (io::Read::read(&mut rest, &mut buffer[..wanted])?, end) {
                (0, Some(end)) => Err(end.into()),
                (read, _) => Ok(read),
            }
        })
        .await
}

#[test]
fn an_update_is_there_when_it_is_verified_and_stays() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let file = Pbu { image: vec![7; 3 << 20], ..Pbu::default() }.octets();
        let update = bring(&device(&flash), &file, None).await.unwrap();
        assert_eq!(update.version, "1.3.0");
        // The power goes at once.
        let flash = flash.restart(1);
        let device = device(&flash);
        device.forget_parts();
        assert_eq!(flash.list("").unwrap(), [UPDATE]);
        assert_eq!(device.verify().await.unwrap(), update);
        flash.open(UPDATE, Mode::Write).unwrap().write_at(9000, b"x").unwrap();
        let wrong = device.verify().await;
        assert!(matches!(wrong, Err(ReceiveError::Refused(Refusal::WrongSignature))));
        assert!(flash.list("").unwrap().is_empty(), "it would never be applied");
    });
}

#[test]
fn of_one_that_is_not_taken_nothing_is_kept() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let device = device(&flash);
        let right = Pbu::default().octets();
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        for (file, end, words) in [
            (wrong.clone(), None, "the signature is wrong"),
            (right[..9000].to_vec(), None, "has 9000 octets and says that it has 12048"),
            ([right.clone(), vec![0; 90]].concat(), None, "has 12138 octets"),
            (right[..700].to_vec(), None, "no update of Pillarbox"),
            (vec![0; LARGEST as usize + 1], None, "larger than a slot"),
            (right[..7000].to_vec(), Some(io::ErrorKind::ConnectionReset), "says that it has 12048"),
        ] {
            let error = bring(&device, &file, end).await.unwrap_err();
            assert!(error.to_string().contains(words), "{words}: {error}");
            assert!(flash.list("").unwrap().is_empty(), "{words}");
        }
        // One that is given up in the middle, as by a session that ends.
        let mut file = &right[..];
        let never = device.receive(right.len() as u64, async |buffer: &mut [u8]| {
            if file.len() < 5000 {
                std::future::pending::<()>().await;
            }
            let wanted = buffer.len().min(1000);
            io::Read::read(&mut file, &mut buffer[..wanted])
        });
        let busy = async {
            for _ in 0..30 {
                smol::future::yield_now().await;
            }
            assert_eq!(flash.list("").unwrap(), [PART]);
            let second = bring(&device, &right, None).await;
            assert!(matches!(second, Err(ReceiveError::Busy)));
            second
        };
        let _ = smol::future::or(never, busy).await;
        assert!(flash.list("").unwrap().is_empty());
        bring(&device, &right, None).await.unwrap();
    });
}

#[test]
fn a_connection_that_breaks_is_told_as_such() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let right = Pbu::default().octets();
        let (mut file, len) = (&right[..9000], right.len() as u64);
        let device = device(&flash);
        let outcome =
            device.receive(len, async |buffer: &mut [u8]| match io::Read::read(&mut file, buffer)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            });
        assert!(matches!(outcome.await, Err(ReceiveError::Source(_))));
        assert!(flash.list("").unwrap().is_empty());
    });
}

#[test]
fn a_full_flash_and_a_trial_refuse_it() {
    let run = std::env::temp_dir().join(format!("pillarbox-trial-{}", std::process::id()));
    std::fs::create_dir_all(&run).unwrap();
    async_io::block_on(async {
        let flash = SimFlash::default();
        let right = Pbu::default().octets();
        flash.limit(Some(8000));
        let error = bring(&device(&flash), &right, None).await.unwrap_err();
        assert!(error.to_string().starts_with("there is no room for the update"), "{error}");
        assert!(flash.list("").unwrap().is_empty());
        flash.limit(None);
        std::fs::write(run.join("trial"), "").unwrap();
        let on_trial = Device::of(identity(), Board::new(&run), Rc::new(flash.clone()));
        assert!(matches!(bring(&on_trial, &right, None).await, Err(ReceiveError::OnTrial)));
        std::fs::remove_file(run.join("trial")).unwrap();
        bring(&on_trial, &right, None).await.unwrap();
    });
    std::fs::remove_dir_all(run).unwrap();
}
