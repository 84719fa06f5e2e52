//! Scenes made by hand, for tests here and of the screen.
