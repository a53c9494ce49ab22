"""The steps themselves, one file per part of the way from annotations to a submission."""
