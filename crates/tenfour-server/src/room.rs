//! The chat's memory: who is here, and the number of the last line. Nothing that was said is kept.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Characters in a name, at least one.
const MAX_NAME: usize = 32;
/// Characters in a text, at least one.
const MAX_TEXT: usize = 2_000;
/// People in the room at a time.
const MAX_PEOPLE: usize = 200;
/// From one deed of a person to the next, in the long run: a line, or a new name.
const PACE: Duration = Duration::from_millis(50);
/// Deeds that a person may do at once, ahead of that pace.
const BURST: u32 = 100;

/// The room, whose people are known by an `Id` of the caller's.
#[derive(Debug)]
pub(crate) struct Room<Id> {
    epoch: u64,
    number: u64,
    people: Vec<Person<Id>>,
}

#[derive(Debug)]
struct Person<Id> {
    id: Id,
    name: String,
    /// When all deeds so far would have been done at `PACE`.
    paced: Instant,
}

/// What a newcomer is told: whether, and by how much, the count went on since they last heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Welcome {
    /// The last line's number, 0 if nothing was said.
    pub(crate) number: u64,
    /// Which count this is: numbers of two epochs don't compare.
    pub(crate) epoch: u64,
    /// The name given.
    pub(crate) you: String,
}

/// One line, as everyone gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// 1 for the first line, one more for each.
    pub(crate) number: u64,
    pub(crate) from: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// Why the room refuses, in words for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a name has 1 to {MAX_NAME} characters, and no control characters")]
    Name,
    #[error("a message has 1 to {MAX_TEXT} characters")]
    Text,
    #[error("the room is full ({MAX_PEOPLE} people): come back later")]
    Full,
    #[error("too much at once: wait a moment")]
    Pace,
    #[error("join the room first")]
    Stranger,
}

impl<Id: PartialEq> Room<Id> {
    /// An empty room; `epoch` differs from that of any room that clients may remember.
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, number: 0, people: Vec::new() }
    }

    /// Whether somebody of this name could join now.
    pub(crate) fn admit(&self, name: &str) -> Result<(), Refusal> {
        valid_name(name)?;
        if self.people.len() >= MAX_PEOPLE { Err(Refusal::Full) } else { Ok(()) }
    }

    pub(crate) fn join(&mut self, id: Id, name: &str, now: Instant) -> Result<Welcome, Refusal> {
        self.admit(name)?;
        let you = self.free_name(name.trim());
        self.people.push(Person { id, name: you.clone(), paced: now });
        Ok(Welcome { number: self.number, epoch: self.epoch, you })
    }

    pub(crate) fn leave(&mut self, id: &Id) {
        self.people.retain(|person| person.id != *id);
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
    pub(crate) fn say(&mut self, id: &Id, text: String, at: u64, now: Instant) -> Result<Line, Refusal> {
        if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
            return Err(Refusal::Text);
        }
        let person = self.person(id)?;
        person.pace(now)?;
        let from = person.name.clone();
        self.number += 1;
        Ok(Line { number: self.number, from, text, at })
    }

    /// The names of who is here, in order of arrival.
    pub(crate) fn names(&self) -> Vec<String> {
        self.people.iter().map(|person| person.name.clone()).collect()
    }

    fn person(&mut self, id: &Id) -> Result<&mut Person<Id>, Refusal> {
        self.people.iter_mut().find(|person| person.id == *id).ok_or(Refusal::Stranger)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn room_of(names: &[&str]) -> Room<usize> {
        let mut room = Room::new(7);
        for (id, name) in names.iter().enumerate() {
            room.join(id, name, Instant::now()).expect("a valid name");
        }
        room
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
            assert_eq!(room.admit(name), Err(Refusal::Name), "{name:?}");
            assert_eq!(room.join(0, name, now), Err(Refusal::Name), "{name:?}");
        }
        assert!(room.join(0, &"é".repeat(MAX_NAME), now).is_ok());
        assert_eq!(room.rename(&0, "", now), Err(Refusal::Name));
        assert_eq!(room.names(), ["é".repeat(MAX_NAME)], "a refused name leaves the old one");
    }

    #[test]
    fn the_room_has_an_end() {
        let names = vec!["Ada"; MAX_PEOPLE];
        let mut room = room_of(&names);
        assert_eq!(room.admit("Grace"), Err(Refusal::Full));
        assert_eq!(room.join(MAX_PEOPLE, "Grace", Instant::now()), Err(Refusal::Full));
        room.leave(&0);
        assert!(room.join(MAX_PEOPLE, "Grace", Instant::now()).is_ok());
    }

    #[test]
    fn lines_are_numbered_without_holes() {
        let mut room = room_of(&["Ada"]);
        let now = Instant::now();
        for text in ["", "  \n", &"x".repeat(MAX_TEXT + 1)] {
            assert_eq!(room.say(&0, text.to_owned(), 0, now), Err(Refusal::Text));
        }
        assert_eq!(room.say(&9, "hi".to_owned(), 0, now), Err(Refusal::Stranger));
        let line = room.say(&0, "x".repeat(MAX_TEXT), 5, now).expect("a valid line");
        assert_eq!((line.number, &*line.from, line.at), (1, "Ada", 5));
        let welcome = room.join(1, "Grace", now).expect("a valid name");
        assert_eq!(welcome, Welcome { number: 1, epoch: 7, you: "Grace".to_owned() });
        assert_eq!(room.say(&1, "hi".to_owned(), 6, now).map(|line| line.number), Ok(2));
    }

    #[test]
    fn a_person_has_a_pace() {
        let mut room = room_of(&["Ada", "Grace"]);
        let now = Instant::now() + Duration::from_secs(1);
        let mut say = |id, now| room.say(&id, "hi".to_owned(), 0, now).map(|line| line.number);
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
