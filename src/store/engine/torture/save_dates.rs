//! The save date: when a message came into its mailbox (RFC 8514).

use super::*;

/// A time in 2026, in seconds since 1970.
const DAY: i64 = 1_780_000_000;

fn save_dates(account: &Account, name: &str) -> Vec<Option<i64>> {
    let mailbox = account.find(name).unwrap();
    account.view(mailbox, |mailbox| mailbox.messages.iter().map(Message::save_date).collect()).unwrap()
}

async fn deliver(account: &Rc<Account>, date: u64) {
    let message = deliver_octets(account, INBOX, date, 1, &mut Choices::new(date));
    message.unwrap().commit().await.unwrap();
}

/// Checks that `expected` is found again from the log, from a checkpoint with the log after it, and from two
/// checkpoints.
async fn stays(flash: &SimFlash, account: Rc<Account>, expected: &[(&str, &[Option<i64>])]) {
    let compare = |account: &Account, from: &str| {
        for (name, dates) in expected {
            assert_eq!(save_dates(account, name), *dates, "{name}, {from}");
        }
    };
    compare(&account, "before");
    drop(account);
    for from in ["from the log", "from a checkpoint", "from its successor"] {
        let account = store(&flash.restart(1)).account("a").await.unwrap();
        compare(&account, from);
        account.write_checkpoint().await.unwrap();
        drop(account);
    }
}

/// Catches: a date that is forgotten by the log, by a checkpoint or by what is replayed over it; a date that a copy
/// takes from its original; a date that later messages get, too; a date of a clock that was never set; a long commit
/// that dates only its first piece.
#[test]
fn a_save_date_is_that_of_the_commit_and_stays() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        clock::FIXED.set(Some(DAY));
        deliver(&account, 1).await;
        account.write_checkpoint().await.unwrap();
        // A board that was just plugged in does not know the time.
        clock::FIXED.set(Some(7));
        deliver(&account, 2).await;
        clock::FIXED.set(Some(DAY + 1));
        deliver(&account, 3).await;
        clock::FIXED.set(Some(DAY + 2));
        let mut transaction = account.begin();
        transaction.copy_all(INBOX, &[1, 2], account.find("Drafts").unwrap());
        transaction.commit().await.unwrap();
        // Neither flags nor the removal of other messages change it.
        clock::FIXED.set(Some(DAY + 3));
        let mut transaction = account.begin();
        transaction.flags(INBOX, &[1], FlagChange::Add, Flags::SEEN, &[]);
        transaction.expunge(INBOX, &[3]);
        transaction.commit().await.unwrap();
        let expected: [(&str, &[_]); 2] =
            [("INBOX", &[Some(DAY), None]), ("Drafts", &[Some(DAY + 2), Some(DAY + 2)])];
        stays(&flash, account, &expected).await;
        clock::FIXED.set(None);
    });
}

#[test]
fn all_of_a_long_commit_have_its_save_date() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        clock::FIXED.set(Some(DAY));
        for date in 0..40 {
            deliver(&account, date).await;
        }
        clock::FIXED.set(Some(DAY + 1));
        let mut transaction = account.begin();
        transaction.copy_all(INBOX, &Vec::from_iter(1..=40), account.find("Drafts").unwrap());
        transaction.commit().await.unwrap();
        clock::FIXED.set(Some(DAY + 2));
        deliver(&account, 41).await;
        let mut inbox = vec![Some(DAY); 40];
        inbox.push(Some(DAY + 2));
        stays(&flash, account, &[("INBOX", &inbox), ("Drafts", &[Some(DAY + 1); 40])]).await;
        clock::FIXED.set(None);
    });
}
