"""Shows times in the zone of its variable TZ, and in another one."""

import datetime
import os
import time
import zoneinfo


def handle(event, context):
    moment = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.timezone.utc)
    local = time.strftime("%H:%M %Z", time.localtime(moment.timestamp()))
    there = moment.astimezone(zoneinfo.ZoneInfo("America/New_York")).strftime("%H:%M")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    return {"body": [local, there, time.strftime("%H:%M", time.localtime(moment.timestamp()))]}
