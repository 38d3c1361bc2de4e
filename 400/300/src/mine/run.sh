flask run -p 5001
