//! Who may call, and who not: the program itself, asked by a client.

mod access;
mod budgets;
mod certificates;
mod limits;
mod tokens;
