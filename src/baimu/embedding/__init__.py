"""Images to vectors that say which are alike: faces, persons, things."""
