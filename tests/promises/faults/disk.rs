//! The disk under the ledger fills up: what cannot be written down is not bought, and what was bought
//! is answered and written down later.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cardproof_emulator::Script;

use super::{charges, question, told};
use crate::{
    crowd::{ask, word},
    house::{VENDOR, replicas},
};

/// A path that leads to a disk with room, or to one without.
struct Disk {
    path: PathBuf,
    good: PathBuf,
}

impl Disk {
    fn in_folder(folder: &Path) -> Self {
        let disk = Self {
            path: folder.join("ledger"),
            good: folder.join("with-room"),
        };
        disk.lead_to(&disk.good);
        disk
    }

    fn lead_to(&self, target: &Path) {
        let new = self.path.with_extension("new");
        symlink(target, &new).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }

    fn fill_up(&self) {
        self.lead_to(Path::new("/dev/full"));
    }

    fn make_room(&self) {
        self.lead_to(&self.good);
    }

    fn count(&self, event: &str) -> usize {
        let text = std::fs::read_to_string(&self.good).unwrap_or_default();
        text.matches(&format!("\"event\":\"{event}\"")).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_buying_and_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::in_folder(folder.path());
    let house = replicas(1)
        .with("TELEMETRY__LEDGER_FILE", disk.path.display())
        .open()
        .await;
    let known = question(1);
    assert_eq!(told(&house, &known).await, "MATCH");

    // the disk fills up while the vendor thinks
    house
        .emulator
        .script(Script::new(VENDOR).hold("door").times(1));
    let client = house.client(0);
    let under_way = tokio::spawn(async move { word(&ask(&client, question(2)).await) });
    house.at_the_gate("door", 1).await;
    disk.fill_up();
    house.emulator.release("door");
    assert_eq!(under_way.await.unwrap(), "MATCH");

    for _ in 0..3 {
        assert_eq!(told(&house, &question(3)).await, "LEDGER_UNAVAILABLE");
    }
    assert_eq!(
        house.calls(&question(3)).len(),
        0,
        "bought and not written down"
    );
    for asked in [&known, &question(2)] {
        assert_eq!(told(&house, asked).await, "MATCH", "memory needs no disk");
    }

    disk.make_room();
    let begun = Instant::now();
    while disk.count("settled") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "never settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(&house, &question(3)).await, "MATCH");
    for number in 1..=3 {
        assert_eq!(charges(&house, &question(number)), 1, "question {number}");
    }
    assert_eq!((disk.count("intent"), disk.count("settled")), (3, 3));
}
