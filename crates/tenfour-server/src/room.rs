//! The chat's room: who is here, what they may do, and the last of what was said.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// Characters in a name, at least one.
const MAX_NAME: usize = 32;
/// Characters in a text, at least one.
const MAX_TEXT: usize = 2_000;
/// Bytes of a line's key, and of a person's secret, at least one.
const MAX_KEY: usize = 128;
/// People in the room at a time.
const MAX_PEOPLE: usize = 200;
/// Sockets of one person at a time.
const MAX_SOCKETS: usize = 20;
/// From one deed of a person to the next, in the long run: a line, or a new name.
pub(crate) const PACE: Duration = Duration::from_millis(50);
/// Deeds that a person may do at once, ahead of that pace.
const BURST: u32 = 100;
/// Lines that are at hand for who comes in; the log has the others.
const AT_HAND: usize = 1_000;
/// Lines, and bytes of their texts and names, that are told at a time.
const MAX_TOLD: (usize, usize) = (200, 200_000);

/// The room, whose people's sockets are known by an `Id` of the caller's.
#[derive(Debug)]
pub(crate) struct Room<Id> {
    number: u64,
    lines: VecDeque<Line>,
    people: Vec<Person<Id>>,
}

/// Somebody, with one socket or more: those that show the same secret.
#[derive(Debug)]
struct Person<Id> {
    secret: Option<String>,
    /// One for each connection: that of a client that is back stands beside its old one until that has left.
    sockets: Vec<Id>,
    name: String,
    /// When all deeds so far would have been done at `PACE`.
    paced: Instant,
}

/// What a newcomer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Welcome {
    /// The last line's number, 0 if nothing was said.
    pub(crate) number: u64,
    /// The name given.
    pub(crate) you: String,
}

/// One line, as everyone gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// 1 for the first line, more for each later one.
    pub(crate) number: u64,
    /// The key that its author's client gave it.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// What is to become of something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A new line, to be told to everyone.
    New(Line),
    /// It was told before, under this number.
    Before(u64),
}

/// Why the room refuses, in words for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a name has 1 to {MAX_NAME} characters, and no control characters")]
    Name,
    #[error("a message has 1 to {MAX_TEXT} characters")]
    Text,
    #[error("a key or secret has 1 to {MAX_KEY} bytes")]
    Key,
    #[error("the room is full ({MAX_PEOPLE} people): come back later")]
    Full,
    #[error("{MAX_SOCKETS} pages of yours are here: close one")]
    Sockets,
    #[error("too much at once: wait a moment")]
    Pace,
    #[error("join the room first")]
    Stranger,
}

impl<Id: PartialEq> Room<Id> {
    /// A room in which nobody is, and nothing was said.
    pub(crate) const fn new() -> Self {
        Self { number: 0, lines: VecDeque::new(), people: Vec::new() }
    }

    /// Whether somebody with this secret and name could join now.
    pub(crate) fn admit(&self, secret: Option<&str>, name: &str) -> Result<(), Refusal> {
        valid_name(name)?;
        secret.map_or(Ok(""), valid_key)?;
        match self.people.iter().find(|person| person.is(secret)) {
            Some(person) if person.sockets.len() >= MAX_SOCKETS => Err(Refusal::Sockets),
            None if self.people.len() >= MAX_PEOPLE => Err(Refusal::Full),
            _ => Ok(()),
        }
    }

    /// Lets a socket in, as a new person or as one who is here already; the name is then that of all their sockets.
    pub(crate) fn join(
        &mut self,
        id: Id,
        secret: Option<&str>,
        name: &str,
        now: Instant,
    ) -> Result<Welcome, Refusal> {
        self.admit(secret, name)?;
        let place = self.people.iter().position(|person| person.sockets.contains(&id) || person.is(secret));
        let mut person = place.map(|place| self.people.remove(place)).unwrap_or_else(|| Person {
            secret: secret.map(str::to_owned),
            sockets: Vec::new(),
            name: String::new(),
            paced: now,
        });
        person.name = self.free_name(name.trim());
        person.sockets.push(id);
        let you = person.name.clone();
        self.people.insert(place.unwrap_or(self.people.len()), person);
        Ok(Welcome { number: self.number, you })
    }

    /// One connection of the socket's has ended.
    pub(crate) fn leave(&mut self, id: &Id) {
        let Some(person) = self.people.iter_mut().find(|person| person.sockets.contains(id)) else { return };
        let connection = person.sockets.iter().position(|socket| socket == id);
        connection.map(|place| person.sockets.swap_remove(place));
        self.people.retain(|person| !person.sockets.is_empty());
    }

    /// Gives the person the name, or one like it that is free, and returns it.
    pub(crate) fn rename(&mut self, id: &Id, name: &str, now: Instant) -> Result<String, Refusal> {
        let name = valid_name(name)?;
        let person = self.person(id)?;
        person.pace(now)?;
        person.name.clear(); // One's own name is no obstacle.
        let you = self.free_name(name);
        self.person(id)?.name.clone_from(&you);
        Ok(you)
    }

    /// Numbers a line. `at` is the wall clock's time, `now` the one that the pace is measured by.
    pub(crate) fn say(
        &mut self,
        id: &Id,
        key: &str,
        text: &str,
        at: u64,
        now: Instant,
    ) -> Result<Said, Refusal> {
        valid_key(key)?;
        if let Some(line) = self.lines.iter().rev().find(|line| line.id == key) {
            return Ok(Said::Before(line.number));
        }
        if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
            return Err(Refusal::Text);
        }
        let person = self.person(id)?;
        person.pace(now)?;
        let from = person.name.clone();
        self.number += 1;
        Ok(Said::New(Line { number: self.number, id: key.to_owned(), from, text: text.to_owned(), at }))
    }

    /// Remembers a line that is in the log.
    pub(crate) fn keep(&mut self, line: Line) {
        self.number = self.number.max(line.number);
        let place =
            self.lines.iter().rposition(|other| other.number < line.number).map_or(0, |last| last + 1);
        self.lines.insert(place, line);
        if self.lines.len() > AT_HAND {
            self.lines.pop_front();
        }
    }

    /// The last lines behind the number, in order, as many as are told at a time.
    pub(crate) fn after(&self, number: u64) -> Vec<&Line> {
        let (lines, mut bytes) = MAX_TOLD;
        let fits = |line: &&Line| {
            let size = line.text.len() + line.from.len() + line.id.len();
            bytes.checked_sub(size).inspect(|left| bytes = *left).is_some()
        };
        let behind = self.lines.iter().rev().take_while(|line| line.number > number);
        let mut told: Vec<_> = behind.take(lines).take_while(fits).collect();
        told.reverse();
        told
    }

    /// The names of who is here, in order of arrival.
    pub(crate) fn names(&self) -> Vec<String> {
        self.people.iter().map(|person| person.name.clone()).collect()
    }

    fn person(&mut self, id: &Id) -> Result<&mut Person<Id>, Refusal> {
        self.people.iter_mut().find(|person| person.sockets.contains(id)).ok_or(Refusal::Stranger)
    }

    /// The name, or the first of "name 2", "name 3", … that nobody has.
    fn free_name(&self, name: &str) -> String {
        let taken = |candidate: &str| self.people.iter().any(|person| person.name == candidate);
        let numbered = (2..).map(|number: u32| format!("{name} {number}"));
        std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|candidate| !taken(candidate))
            .expect("more candidates than people")
    }
}

impl<Id> Person<Id> {
    /// Who shows no secret is nobody who was here.
    fn is(&self, secret: Option<&str>) -> bool {
        secret.is_some() && self.secret.as_deref() == secret
    }

    /// Counts one more deed, if it is not one too many.
    fn pace(&mut self, now: Instant) -> Result<(), Refusal> {
        let paced = self.paced.max(now) + PACE;
        if paced > now + PACE * BURST {
            return Err(Refusal::Pace);
        }
        self.paced = paced;
        Ok(())
    }
}

fn valid_name(name: &str) -> Result<&str, Refusal> {
    let name = name.trim();
    let valid = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.contains(char::is_control);
    valid.then_some(name).ok_or(Refusal::Name)
}

fn valid_key(key: &str) -> Result<&str, Refusal> {
    (1..=MAX_KEY).contains(&key.len()).then_some(key).ok_or(Refusal::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room_of(names: &[&str]) -> Room<usize> {
        let mut room = Room::new();
        for (id, name) in names.iter().enumerate() {
            room.join(id, None, name, Instant::now()).expect("a valid name");
        }
        room
    }

    fn line(number: u64, text: &str) -> Line {
        Line { number, id: format!("key {number}"), from: "Ada".to_owned(), text: text.to_owned(), at: 0 }
    }

    fn number(said: Said) -> u64 {
        match said {
            Said::New(line) => line.number,
            Said::Before(number) => number,
        }
    }

    #[test]
    fn names_are_trimmed_and_unique() {
        let mut room = room_of(&["Ada", " Ada ", "Ada 2", "Grace"]);
        assert_eq!(room.names(), ["Ada", "Ada 2", "Ada 2 2", "Grace"]);
        let rename = |room: &mut Room<_>, id| room.rename(&id, "Ada", Instant::now());
        assert_eq!(rename(&mut room, 3).as_deref(), Ok("Ada 3"));
        assert_eq!(rename(&mut room, 0).as_deref(), Ok("Ada"), "one's own name is free");
        room.leave(&0);
        assert_eq!(rename(&mut room, 3).as_deref(), Ok("Ada"), "a name is free once its bearer left");
        assert_eq!(rename(&mut room, 0), Err(Refusal::Stranger));
    }

    #[test]
    fn names_have_bounds() {
        let mut room = room_of(&[]);
        let now = Instant::now();
        for name in ["", " \t", "a\u{7}b", "a\nb", &"é".repeat(MAX_NAME + 1)] {
            assert_eq!(room.admit(None, name), Err(Refusal::Name), "{name:?}");
            assert_eq!(room.join(0, None, name, now), Err(Refusal::Name), "{name:?}");
        }
        assert!(room.join(0, None, &"é".repeat(MAX_NAME), now).is_ok());
        assert_eq!(room.rename(&0, "", now), Err(Refusal::Name));
        assert_eq!(room.names(), ["é".repeat(MAX_NAME)], "a refused name leaves the old one");
        for secret in ["", &"x".repeat(MAX_KEY + 1)] {
            assert_eq!(room.join(1, Some(secret), "Grace", now), Err(Refusal::Key));
        }
    }

    #[test]
    fn who_shows_the_same_secret_is_one_person() {
        let mut room = room_of(&["Ada"]);
        let now = Instant::now();
        let mut join = |id, secret, name| room.join(id, Some(secret), name, now).map(|welcome| welcome.you);
        assert_eq!(join(1, "s", "Ada").as_deref(), Ok("Ada 2"));
        assert_eq!(join(2, "other", "Mary").as_deref(), Ok("Mary"));
        assert_eq!(join(3, "s", "Ada 2").as_deref(), Ok("Ada 2"), "one's own name is free");
        assert_eq!(join(3, "s", "Grace").as_deref(), Ok("Grace"), "back before it was gone");
        assert_eq!(room.names(), ["Ada", "Grace", "Mary"]);
        room.leave(&3);
        assert_eq!(
            room.rename(&3, "Grace", now).as_deref(),
            Ok("Grace"),
            "the old connection's end is not the end"
        );
        assert_eq!(room.rename(&1, "Hopper", now).as_deref(), Ok("Hopper"), "whichever socket asks");
        room.leave(&1);
        assert_eq!(room.names(), ["Ada", "Hopper", "Mary"]);
        room.leave(&3);
        assert_eq!(room.names(), ["Ada", "Mary"], "gone with their last socket");
        for id in 10..10 + MAX_SOCKETS {
            assert!(room.join(id, Some("t"), "Tabs", now).is_ok());
        }
        assert_eq!(room.join(9, Some("t"), "Tabs", now), Err(Refusal::Sockets));
    }

    #[test]
    fn a_socket_that_is_back_before_it_was_gone_stays() {
        let mut room = room_of(&["Ada"]);
        assert_eq!(
            room.join(0, None, "Ada", Instant::now()).map(|welcome| welcome.you).as_deref(),
            Ok("Ada")
        );
        room.leave(&0);
        assert_eq!(room.names(), ["Ada"]);
        room.leave(&0);
        room.leave(&0);
        assert!(room.names().is_empty());
    }

    #[test]
    fn the_room_has_an_end() {
        let names = vec!["Ada"; MAX_PEOPLE];
        let mut room = room_of(&names);
        assert_eq!(room.admit(None, "Grace"), Err(Refusal::Full));
        assert_eq!(room.join(MAX_PEOPLE, Some("s"), "Grace", Instant::now()), Err(Refusal::Full));
        room.leave(&0);
        assert!(room.join(MAX_PEOPLE, Some("s"), "Grace", Instant::now()).is_ok());
        assert!(room.join(MAX_PEOPLE + 1, Some("s"), "Grace", Instant::now()).is_ok(), "is here already");
    }

    #[test]
    fn lines_are_numbered_and_known_by_their_keys() {
        let mut room = room_of(&["Ada"]);
        let now = Instant::now();
        for text in ["", "  \n", &"x".repeat(MAX_TEXT + 1)] {
            assert_eq!(room.say(&0, "a", text, 0, now), Err(Refusal::Text));
        }
        assert_eq!(room.say(&9, "a", "hi", 0, now), Err(Refusal::Stranger));
        for key in ["", &"x".repeat(MAX_KEY + 1)] {
            assert_eq!(room.say(&0, key, "hi", 0, now), Err(Refusal::Key));
        }
        let Ok(Said::New(line)) = room.say(&0, "a", &"x".repeat(MAX_TEXT), 5, now) else {
            panic!("a valid line");
        };
        assert_eq!((line.number, &*line.id, &*line.from, line.at), (1, "a", "Ada", 5));
        room.keep(line);
        let welcome = room.join(1, None, "Grace", now).expect("a valid name");
        assert_eq!(welcome, Welcome { number: 1, you: "Grace".to_owned() });
        assert_eq!(room.say(&1, "b", "hi", 6, now).map(number), Ok(2));
        assert_eq!(room.say(&0, "a", "hi", 7, now), Ok(Said::Before(1)), "whoever comes with the key");
        assert_eq!(room.say(&1, "b", "hi", 8, now).map(number), Ok(3), "what was not kept was not told");
    }

    #[test]
    fn what_was_said_before_is_at_hand_within_bounds() {
        let mut room = Room::<usize>::new();
        for line in [line(3, "three"), line(7, "seven"), line(5, "five")] {
            room.keep(line);
        }
        let numbers = |room: &Room<_>, after| -> Vec<u64> {
            room.after(after).into_iter().map(|line| line.number).collect()
        };
        assert_eq!(numbers(&room, 0), [3, 5, 7], "in order, whoever was told first");
        assert_eq!(numbers(&room, 5), [7]);
        assert_eq!(numbers(&room, 7), [0; 0]);
        let last = 7 + u64::try_from(AT_HAND).expect("few");
        (8..=last).for_each(|number| room.keep(line(number, "x")));
        assert_eq!(room.lines.len(), AT_HAND);
        assert_eq!(numbers(&room, 0).len(), MAX_TOLD.0);
        assert_eq!(numbers(&room, 0).last(), Some(&last));
        let long = "x".repeat(MAX_TOLD.1 / 3);
        (1..=5).for_each(|more| room.keep(line(last + more, &long)));
        assert_eq!(numbers(&room, 0), [last + 4, last + 5], "the last that fit");
        room.join(0, None, "Ada", Instant::now()).expect("a valid name");
        let said = room.say(&0, "new", "hi", 0, Instant::now());
        assert_eq!(said.map(number), Ok(last + 6), "the count goes on");
    }

    #[test]
    fn a_person_has_a_pace() {
        let mut room = room_of(&["Ada", "Grace"]);
        let now = Instant::now() + Duration::from_secs(1);
        let mut say = |id, now| room.say(&id, "key", "hi", 0, now).map(number);
        for number in 1..=u64::from(BURST) {
            assert_eq!(say(0, now), Ok(number));
        }
        assert_eq!(say(0, now), Err(Refusal::Pace));
        assert_eq!(say(1, now), Ok(u64::from(BURST) + 1), "each person has their own");
        assert_eq!(say(0, now + PACE - Duration::from_nanos(1)), Err(Refusal::Pace));
        assert!(say(0, now + PACE).is_ok());
        assert_eq!(say(0, now + PACE), Err(Refusal::Pace));
        assert_eq!(room.rename(&0, "Ada", now + PACE), Err(Refusal::Pace), "a new name is no way around it");
    }
}
