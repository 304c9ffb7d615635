fn main() { println!("{}", words::FACTORIAL) }
