//! What may happen in a schedule.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use cardproof::{domain::CardNumber, service::ask::CacheMode};
use rand::RngExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    super::{
        link::{Life, SETTLING},
        store::now,
    },
    Asked, CARDS, NAMES, Told, Town, card,
    replica::call,
};

impl Town {
    pub fn note(&mut self, what: String) {
        self.events.push((Instant::now(), what));
    }

    pub async fn something_happens(&mut self, calm: bool, replicas: usize) {
        let pause = match self.random.random_range(0..20) {
            0 => self.random.random_range(2_000..10_000),
            1 => self.random.random_range(60_000..400_000),
            2..8 => 0,
            _ => self.random.random_range(0..300),
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let which = self.random.random_range(0..self.replicas.len());
        let roll = self.random.random_range(0..100);
        match roll {
            0..3 if !calm => self.freeze(which),
            3..6 if !calm && self.store.is_some() => self.restart(which, replicas),
            6..9 if !calm => self.cut_off(which),
            9..11 if !calm => self.empty_the_store(),
            11..13 if !calm => self.answer_into_the_void(which),
            13 => self.erase(which).await,
            14 => {
                // over a night
                let hours = self.random.random_range(4..14);
                tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
            }
            _ => {
                // several at once, mostly
                for _ in 0..self.random.random_range(1..5) {
                    self.somebody_asks();
                }
            }
        }
    }

    fn freeze(&mut self, which: usize) {
        let lasts = Duration::from_millis(self.random.random_range(100..15_000));
        let process = self.replicas[which].process.clone();
        let begins = Instant::now();
        let life = self.replicas[which].life;
        self.frozen.push((life, begins, begins + lasts));
        self.note(format!("replica {which} stands still for {lasts:?}"));
        process.becomes(Life::Frozen);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            if process.is(Life::Frozen) {
                process.becomes(Life::Running);
            }
        });
    }

    fn restart(&mut self, which: usize, replicas: usize) {
        let dead = &self.replicas[which];
        dead.process.becomes(Life::Dead);
        self.deaths.push((dead.life, Instant::now()));
        let replica = self.born(replicas);
        self.note(format!(
            "replica {which} is killed, and begins life {}",
            replica.life
        ));
        self.replicas[which] = replica;
    }

    fn cut_off(&mut self, which: usize) {
        let lasts = Duration::from_millis(self.random.random_range(50..20_000));
        let all = self.random.random_bool(0.5);
        let links = self.replicas.iter().enumerate();
        let links = links.filter(|(at, _)| all || *at == which);
        let links: Vec<_> = links.filter_map(|(_, it)| it.link.clone()).collect();
        if links.is_empty() {
            return;
        }
        self.note(format!("{} links are cut for {lasts:?}", links.len()));
        links.iter().for_each(|link| link.set_cut(true));
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            links.iter().for_each(|link| link.set_cut(false));
        });
    }

    fn empty_the_store(&mut self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        self.note("the store is emptied".to_owned());
        let now = now(&self.clock);
        store.state.lock().empty(now, SETTLING);
        store.emptied();
    }

    fn answer_into_the_void(&mut self, which: usize) {
        let Some(link) = self.replicas[which].link.clone() else {
            return;
        };
        self.note(format!("answers of the store to replica {which} are lost"));
        link.mute.store(200, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            link.mute.store(0, Ordering::SeqCst);
        });
    }

    async fn erase(&mut self, which: usize) {
        let card = card(self.random.random_range(0..CARDS));
        if !self.replicas[which].process.is(Life::Running) {
            return;
        }
        self.note(format!("{card} is erased through replica {which}"));
        self.erased.push((Instant::now(), card.clone()));
        let service = self.replicas[which].service.clone();
        let card = CardNumber::parse(&card).unwrap();
        service.erase(&card).await;
    }

    /// The id of an earlier question, mostly for the same one, or a new id, or none.
    fn an_id(&mut self, card: &str, name: &'static str) -> Option<Uuid> {
        match self.random.random_range(0..10) {
            0..2 => {
                let mut same = self.ids.iter().filter(|it| (&*it.1, it.2) == (card, name));
                same.next_back().map(|it| it.0)
            }
            2 => self.ids.last().map(|it| it.0),
            3..6 => {
                let id = Uuid::from_u128(self.random.random());
                self.ids.push((id, card.to_owned(), name));
                Some(id)
            }
            _ => None,
        }
    }

    fn somebody_asks(&mut self) {
        let which = self.random.random_range(0..self.replicas.len());
        let card = card(self.random.random_range(0..CARDS));
        let name = NAMES[self.random.random_range(0..NAMES.len())];
        let bypass = self.random.random_ratio(1, 25);
        let patience = Duration::from_millis(match self.random.random_range(0..4) {
            0 => self.random.random_range(50..1500),
            _ => 10_000,
        });
        let hangs_up = self.random.random_ratio(1, 8);
        let hangs_up = hangs_up.then(|| Duration::from_millis(self.random.random_range(0..800)));
        let id = self.an_id(&card, name);
        let asked = Asked {
            life: self.replicas[which].life,
            card,
            name: name.to_owned(),
            bypass,
            id,
            at: Instant::now(),
            deadline: Instant::now() + patience,
            ended: None,
            told: Told::Nothing,
        };
        let mode = if bypass {
            CacheMode::Bypass
        } else {
            CacheMode::Use
        };
        let book = Arc::clone(&self.asked);
        let at = {
            let mut book = book.lock();
            book.push(asked.clone());
            book.len() - 1
        };
        let call = call(&self.replicas[which], &asked, mode);
        self.callers.spawn(async move {
            let told = match hangs_up {
                None => call.await,
                Some(after) => match tokio::time::timeout(after, call).await {
                    Ok(told) => told,
                    Err(_) => return,
                },
            };
            let mut book = book.lock();
            book[at].told = told;
            book[at].ended = Some(Instant::now());
        });
    }
}
