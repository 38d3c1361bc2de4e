import sys

from workshop.doctor.report import main

sys.exit(main())
