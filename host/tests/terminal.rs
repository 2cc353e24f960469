//! A conversation at a terminal, typed and read as a person would.
#![cfg(unix)]

mod common;

use std::{
    io::{Read, Write},
    sync::mpsc::{self, Receiver},
};

use common::models_dir;
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

/// A terminal with `hearth chat` in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(args: &[&str]) -> Self {
        let size = PtySize { rows: 40, cols: 200, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(args);
        command.env("HEARTH_MODELS", models_dir());
        command.env("TERM", "xterm");
        let child = pair.slave.spawn_command(command).unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (shown, screen) = mpsc::channel();
        std::thread::spawn(move || {
            // Keeps the terminal open until the child has let go of it.
            let _master = pair.master;
            let mut bytes = [0; 4096];
            // Linux ends a terminal without its child with an error.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if shown.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until `text` is shown, and gives all that was shown up to its end since the last wait.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let bytes = self.screen.recv().unwrap_or_else(|_| panic!("{text:?} never came after {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// What the editor shows when it waits for a line.
const PROMPT: &str = "> ";

#[test]
fn a_conversation_at_a_terminal() {
    let mut terminal = Terminal::open(&["chat", "--device", "cpu", "--greedy", "--max-tokens", "1500"]);
    let greeting = terminal.wait_for(PROMPT);
    assert!(greeting.contains("Opening") && greeting.contains("hearth-tiny"), "{greeting:?}");

    terminal.press("/help\r");
    terminal.wait_for("Ctrl-D leaves.");
    terminal.wait_for(PROMPT);

    terminal.press("Hello, I need a taxi.\r");
    terminal.wait_for("taxi.");
    let answer = terminal.wait_for("tokens/s");
    assert!(!answer.contains("\u{1b}[2K"), "a line of the answer was wiped out: {answer:?}");
    terminal.wait_for(PROMPT);

    terminal.press("/new\r");
    terminal.wait_for("A new conversation.");
    terminal.wait_for(PROMPT);

    terminal.press("/sing\r");
    terminal.wait_for("There is no /sing.");
    terminal.wait_for(PROMPT);

    // At a prompt there is nothing to stop; the conversation goes on.
    terminal.press("\u{3}");
    terminal.wait_for("Ctrl-D leaves.");
    terminal.wait_for(PROMPT);

    terminal.press("\u{4}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 0);
}

#[test]
fn ctrl_c_stops_the_answer_and_the_program_stays() {
    // An answer of this form cannot end before it is stopped, and begins with what the editor never echoes. Before it the
    // terminal still hands Ctrl-C to the editor.
    let form = "zebra( [a-z]{1,9}){900}";
    let mut terminal = Terminal::open(&["chat", "--device", "cpu", "--greedy", "--max-tokens", "900", "--regex", form]);
    terminal.wait_for(PROMPT);
    terminal.press("Tell me a story.\r");
    terminal.wait_for("zebra ");
    terminal.press("\u{3}");
    terminal.wait_for("stopped");
    terminal.wait_for(PROMPT);
    terminal.press("\u{4}");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 0);
}
