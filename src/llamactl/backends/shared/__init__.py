"""What more than one backend rests on."""
