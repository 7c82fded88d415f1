"""What tests share: a tiny model, a real server, a scripted engine."""
