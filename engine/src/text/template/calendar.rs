//! `strftime_now`: the date as a template asks for it.

/// The moment that a template may ask for: the engine has no clock, so the host says. Local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the calendar's word")]
pub struct LocalTime {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl LocalTime {
    /// Python's `strftime` in the C locale, for the directives that dates and times need; others stay as they are.
    pub(super) fn format(self, pattern: &str) -> String {
        let mut text = String::with_capacity(2 * pattern.len());
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            match characters.next() {
                // GNU's flag: no padding.
                Some('-') => match characters.next() {
                    Some(directive) => {
                        let padded = self.directive(directive);
                        let bare = padded.trim_start_matches('0');
                        text.push_str(if bare.is_empty() { "0" } else { bare });
                    }
                    None => text.push_str("%-"),
                },
                Some(directive) => text.push_str(&self.directive(directive)),
                None => text.push('%'),
            }
        }
        text
    }

    fn directive(self, directive: char) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        let month_name = MONTHS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or_default();
        let weekday_name = WEEKDAYS[self.weekday()];
        let hour_of_half = if hour % 12 == 0 { 12 } else { hour % 12 };
        match directive {
            'Y' => format!("{year:04}"),
            'y' => format!("{:02}", year.rem_euclid(100)),
            'm' => format!("{month:02}"),
            'B' => month_name.to_owned(),
            'b' | 'h' => month_name.chars().take(3).collect(),
            'd' => format!("{day:02}"),
            'e' => format!("{day:2}"),
            'A' => weekday_name.to_owned(),
            'a' => weekday_name.chars().take(3).collect(),
            'H' => format!("{hour:02}"),
            'I' => format!("{hour_of_half:02}"),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => self.format("%Y-%m-%d"),
            'T' => self.format("%H:%M:%S"),
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        }
    }

    /// Days since Sunday, by Sakamoto's method (comp.lang.c, 1992).
    fn weekday(self) -> usize {
        const OFFSETS: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let month = usize::from(self.month.clamp(1, 12));
        let year = if month < 3 { self.year.saturating_sub(1) } else { self.year };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = i64::from(year) + i64::from(leap_days) + i64::from(OFFSETS[month - 1]) + i64::from(self.day);
        days.rem_euclid(7) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORNING: LocalTime = LocalTime { year: 2026, month: 3, day: 5, hour: 0, minute: 7, second: 9 };

    #[test]
    fn dates_and_times_are_written_as_python_writes_them() {
        assert_eq!(MORNING.format("%d %b %Y"), "05 Mar 2026");
        assert_eq!(MORNING.format("%A, %B %-d, %y at %-I:%M:%S %p"), "Thursday, March 5, 26 at 12:07:09 AM");
        assert_eq!(MORNING.format("%F %T %a%e %H %% %Q %"), "2026-03-05 00:07:09 Thu 5 00 % %Q %");
        assert_eq!(MORNING.format("%-"), "%-");
    }

    #[test]
    fn weekdays_are_right_across_leap_years() {
        let on = |year, month, day| LocalTime { year, month, day, ..MORNING }.format("%a");
        assert_eq!([on(2000, 2, 29), on(1900, 3, 1), on(2024, 12, 31), on(2026, 11, 23)], ["Tue", "Thu", "Tue", "Mon"]);
    }

    #[test]
    fn impossible_dates_do_not_panic() {
        let wild = LocalTime { year: i32::MIN, month: 0, day: 0, hour: 255, minute: 255, second: 255 };
        assert!(!wild.format("%Y %B %b %A %I %p").is_empty());
    }
}
