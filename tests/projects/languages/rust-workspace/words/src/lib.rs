pub const FACTORIAL: &str = "factorial";
