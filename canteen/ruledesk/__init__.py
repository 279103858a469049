"""The rule desk: write, preview, replay, compare and publish rulebooks. It reads sales, so it is a high layer."""
