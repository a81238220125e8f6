//! The scan and the deserializer beside `serde_json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tenfour_wire::{DecodeErrorKind, Limits, json};

fuzz_target!(|text: &str| {
    let ours = json::validate(text, &Limits::default());
    let theirs = serde_json::from_str::<Value>(text);
    match (&ours, &theirs) {
        (Ok(()), Err(error)) => {
            let message = error.to_string();
            assert!(
                message.contains("number out of range") || message.contains("recursion limit"),
                "{message}"
            );
        }
        (Err(error), Ok(_)) => assert_eq!(error.kind(), DecodeErrorKind::Placeholder),
        _ => {}
    }
    match json::from_str::<Value>(text, &[]) {
        Ok(value) => {
            assert!(
                !matches!(ours, Err(error) if error.kind() != DecodeErrorKind::Placeholder && error.kind() != DecodeErrorKind::Depth)
            );
            if ours.is_ok() {
                let (again, _) = json::to_string(&value).expect("what was valid can be written");
                assert!(json::validate(&again, &Limits::default()).is_ok());
            }
        }
        Err(_) => assert!(ours.is_err()),
    }
});
