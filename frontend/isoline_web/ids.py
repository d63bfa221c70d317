"""Names of components that more than one file speaks of (pages, shell, or our JavaScript)."""

PLACE = "place"  # dcc.Location
PAGE = "page"
TITLE = "title"
THEME = "theme"  # "light" | "dark"
THEME_TOGGLE = "theme-toggle"
NOTICES = "notices"
SINK = "sink"  # where clientside callbacks without an answer end
RAIL = "rail"
JOB_CHIP = "job-chip"
JOB_CHANGES = "job-changes"  # {job id: card}, written by assets/events.js
SHORTCUTS = "shortcuts"
SHORTCUTS_OPEN = "shortcuts-open"
AVATAR = "avatar"

# Map
ATLAS = "atlas"  # {"version", "map", "evaluation", …}: what the map page shows; read by assets/atlas.js
SELECTION = "selection"  # {"id", "n"} or None
OPENED = "opened"  # position of the open structure
MARKS = "marks"  # grows with every decision, so that what counts them is drawn anew
TABLE = "table"
