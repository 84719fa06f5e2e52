"""The settings, from the environment; the unit reads them from a file that only root can read."""

import os
import socket
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    hostname: str
    images: str
    directory: str
    directory_timeout: float
    directory_store_timeout: float
    db_hosts: tuple
    db_port: int
    db_name: str
    db_user: str
    db_password: str = field(repr=False)
    connect_timeout: float
    statement_timeout: float


def from_environment(env=os.environ):
    hosts = tuple(part.strip() for part in env["WELCOME_APP_DB_HOSTS"].split(",") if part.strip())
    if not hosts:
        raise RuntimeError("WELCOME_APP_DB_HOSTS names no database host")
    images = env.get("WELCOME_APP_IMAGES", "database")
    if images not in ("database", "directory"):
        raise RuntimeError("WELCOME_APP_IMAGES must be database or directory")
    return Settings(
        hostname=env.get("WELCOME_APP_HOSTNAME") or socket.gethostname(),
        images=images,
        directory=env.get("WELCOME_APP_DIRECTORY", "/mnt/shared/images").rstrip("/"),
        directory_timeout=float(env.get("WELCOME_APP_DIRECTORY_TIMEOUT", "2")),
        directory_store_timeout=float(env.get("WELCOME_APP_DIRECTORY_STORE_TIMEOUT", "15")),
        db_hosts=hosts,
        db_port=int(env.get("WELCOME_APP_DB_PORT", "5432")),
        db_name=env.get("WELCOME_APP_DB_NAME", "welcome_app"),
        db_user=env.get("WELCOME_APP_DB_USER", "welcome_app"),
        db_password=env["WELCOME_APP_DB_PASSWORD"],
        connect_timeout=float(env.get("WELCOME_APP_DB_CONNECT_TIMEOUT", "3")),
        statement_timeout=float(env.get("WELCOME_APP_DB_STATEMENT_TIMEOUT", "8")),
    )
